"""The guest's initramfs: the kernel's first root file system, in RAM (the kernel's
Documentation/filesystems/ramfs-rootfs-initramfs.rst).

It holds, below /.guest, what a VM needs and a container doesn't: a process 1, the drivers that are
modules. Where the image isn't on a disk it holds the image's files, too.

Device nodes and owners are only numbers in an archive, so no root is needed. Host side, except the
scripts that it holds.
"""

from __future__ import annotations

import shutil
import stat
from collections.abc import Iterable, Sequence
from pathlib import Path

from bench import guest_kernel
from bench.cpio import Node
from bench.guest_kernel import Kernel
from labrt import devices
from labrt.accounts import Account
from labrt.errors import LabError
from labrt.images.flattening import Found

INIT = Path(__file__).with_name("guest_init.sh")
DISK_ROOT = Path(__file__).with_name("guest_disk_root.sh")
SCRATCH = Path(__file__).with_name("guest_scratch.sh")

# What of a container's /dev the kernel's devtmpfs hasn't got.
DEV_FOLDERS = ("pts", "shm")
DEV_LINKS = {name: target for name, target in devices.LINKS.items() if name != "ptmx"}

PROGRAM, FOLDER = stat.S_IFREG | 0o755, stat.S_IFDIR | 0o755
KINDS = {b"5": stat.S_IFDIR, b"2": stat.S_IFLNK, b"6": stat.S_IFIFO}  # tar's; else a file


def image_nodes(found: Iterable[Found]) -> dict[str, Node]:
    """Return an image's files as inodes, all of them in memory."""
    nodes: dict[str, Node] = {}
    for member, contents in found:
        if member.islnk():
            nodes[member.name] = nodes[member.linkname]
        else:
            data = contents.read() if contents else member.linkname.encode(errors="surrogateescape")
            kind = KINDS.get(member.type, stat.S_IFREG) | member.mode
            nodes[member.name] = Node(kind, data, member.uid, member.gid, int(member.mtime))
    return nodes


def guest_nodes(
    kernel: Kernel, user: Account, disk: bool, network: bool = False, scratch: bool = False
) -> dict[str, Node]:
    """Return what every guest has: process 1, its tools and its modules.

    Args:
        disk, network: whether its image is on a disk, and whether it has a network card.
        scratch: whether it has a disk to write to.

    Raises:
        LabError: this host has no busybox.
    """
    folders = [".guest", ".guest/dev", "dev", "proc", "sys"]
    folders += ["disk", "writable", "root"] if disk else []
    found = {name: Node(FOLDER) for name in folders}
    modules = list(dict.fromkeys((*kernel.power_button, *(kernel.scratch if scratch else ()))))
    found |= {
        ".guest/init": Node(PROGRAM, INIT.read_bytes()),
        ".guest/busybox": Node(PROGRAM, busybox().read_bytes()),
        # The entry point may open it by way of /dev/stdout, so it is the user's.
        ".guest/ttyS1": Node(stat.S_IFCHR | 0o600, uid=user.uid, rdev=(4, 65)),
        # The kernel opens the one for process 1, before anything is mounted; the shell the other.
        "dev/console": Node(stat.S_IFCHR | 0o600, rdev=(5, 1)),
        "dev/null": Node(stat.S_IFCHR | 0o666, rdev=(1, 3)),
        **_modules(".guest/modules", modules),
    }
    found |= {f".guest/dev/{name}": Node(FOLDER) for name in DEV_FOLDERS}
    for name, target in DEV_LINKS.items():
        found[f".guest/dev/{name}"] = Node(stat.S_IFLNK | 0o777, target.encode())
    if disk:
        found[".guest/disk-root"] = Node(PROGRAM, DISK_ROOT.read_bytes())
        found |= _modules(".guest/disk-modules", _others(kernel.disk, modules))
    if network:
        found |= _modules(".guest/network-modules", _others(kernel.network, modules))
    if scratch:
        found[".guest/scratch"] = Node(PROGRAM, SCRATCH.read_bytes())
    return found


def _others(modules: Iterable[Path], loaded: Sequence[Path]) -> list[Path]:
    """Return the modules that aren't among those that are loaded first."""
    return [module for module in modules if module not in loaded]


def _modules(folder: str, modules: Sequence[Path]) -> dict[str, Node]:
    """Return the modules, their names in the order in which they must be loaded."""
    found = {folder: Node(FOLDER)}
    for number, module in enumerate(modules):
        name = f"{folder}/{number:02}-{module.name.partition('.')[0]}.ko"
        found[name] = Node(stat.S_IFREG | 0o644, guest_kernel.read_module(module))
    return found


def busybox() -> Path:
    """Return the host's static busybox. The guest's process 1 needs it, whatever the image has.

    Raises:
        LabError: there is none.
    """
    if found := shutil.which("busybox"):
        return Path(found)
    raise LabError(
        "build the guest", "no busybox", remedy="run ./lab setup (Debian package busybox-static)"
    )
