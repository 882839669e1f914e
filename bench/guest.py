"""Turns an image into a guest: a kernel and a root file system that a virtual machine boots.

The image is the same digest that runs as a container. Its layers are laid over one another as
overlayfs would (labrt/images/flattening.py), and the result becomes the guest's root file system,
in one of two forms:

    initramfs   all of it in RAM: a container's image lies in the host's page cache when it starts,
                so the guest's does too
    disk        a read-only disk below a writable overlay: the guest's RAM holds what it has used

What a VM needs and a container doesn't (a process 1, drivers) is below /.guest and touches nothing
of the image. Host side.
"""

from __future__ import annotations

import hashlib
import io
import os
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from bench import cpio, guest_disk, guest_entrypoint, guest_initramfs
from bench.guest_kernel import Kernel, find_kernel
from labrt import accounts, paths
from labrt.errors import LabError, errno_text
from labrt.images import flattening, tar_stream
from labrt.images.flattening import Found
from labrt.images.store import Image

Root = Literal["initramfs", "disk"]

# console: messages of the kernel, kept as evidence. quiet: each character costs an exit to the
# hypervisor. panic=-1: a kernel that panics resets at once, so the host sees it end at once.
# no_timer_check: no counting of timer ticks, at which a guest that gets little of a busy host's
# CPU panics under emulation ("IO-APIC + timer doesn't work"); under KVM a kernel leaves it out.
# cryptomgr.notests: no self-tests of ciphers that nobody uses; 0.4 s of 1.8 s under emulation.
COMMAND_LINE = "console=ttyS0 quiet panic=-1 no_timer_check cryptomgr.notests rdinit=/.guest/init"

MODULES = (
    accounts,
    cpio,
    flattening,
    guest_disk,
    guest_entrypoint,
    guest_initramfs,
    tar_stream,
)
SOURCES = [Path(__file__), *(Path(str(module.__file__)) for module in MODULES)]
ACCOUNT_FILES = ("etc/passwd", "etc/group")


@dataclass(frozen=True)
class Guest:
    """What a VM boots: `-kernel`, `-initrd`, `-append` and `-drive` of qemu(1).

    Attributes:
        disk: what the guest sees as /dev/vda, or None.
        boot_disk: a disk with a boot loader and all that the guest boots, or None.
    """

    kernel: Kernel
    initramfs: Path
    digest: str
    disk: Path | None = None
    boot_disk: Path | None = None


def build(
    image: Image,
    kernel: Kernel | None = None,
    root: Root = "initramfs",
    folder: Path | None = None,
    network: bool = False,
    scratch: bool = False,
) -> Guest:
    """Return the guest of `image`, built on first use and kept.

    Args:
        kernel: None for the one that `find_kernel` finds.
        folder: where it is kept; None for LAB_HOME/guests.
        network: whether it can use a network card.
        scratch: it finds a disk to write to, and mounts it (`bench.scratch`).

    Raises:
        LabError: the image can't be a guest; there is no kernel, busybox or tar2sqfs; the disk is
            full. Nothing half-made is left.
    """
    guest_entrypoint.check(image)
    kernel = kernel or find_kernel()
    check(root, kernel, scratch)
    has = {"network": network, "scratch": scratch}
    place = (folder or paths.home() / "guests") / _key(image, kernel, root, **has)
    initramfs, disk = place.with_suffix(".cpio"), place.with_suffix(".squashfs")
    if not initramfs.exists():  # it is the last to come
        if root == "disk":
            _build_disk(image, kernel, initramfs, disk, **has)
        else:
            _build_initramfs(image, kernel, initramfs, **has)
    return Guest(kernel, initramfs, image.digest, disk if root == "disk" else None)


def check(root: Root, kernel: Kernel | None = None, scratch: bool = False) -> None:
    """Refuse a form that this host can't make or its guest kernel can't boot, or write to.

    Raises:
        LabError: that.
    """
    kernel = kernel or find_kernel()
    remedy = "run ./lab setup; with a LAB_KERNEL of your own, put its modules beside it"
    if root == "disk":
        guest_disk.tool()
        if kernel.no_disk:
            raise LabError("boot a guest from a disk", kernel.no_disk, remedy=remedy)
    if scratch and kernel.no_scratch:
        raise LabError("give a guest a disk to write to", kernel.no_scratch, remedy=remedy)


def _build_initramfs(image: Image, kernel: Kernel, initramfs: Path, **has: bool) -> None:
    nodes = guest_initramfs.image_nodes(flattening.members(image))
    known = {name: nodes[name].data for name in ACCOUNT_FILES if name in nodes}
    user = guest_entrypoint.account(image, known)
    ours = guest_initramfs.guest_nodes(kernel, user, disk=False, **has)
    # Ours first, so that process 1 is there to tell if the rest doesn't fit into the guest's RAM;
    # the entry point last, so that it isn't there then.
    _write(initramfs, {**ours, **nodes, **ours, **guest_entrypoint.nodes(image, user)})


def _build_disk(image: Image, kernel: Kernel, initramfs: Path, disk: Path, **has: bool) -> None:
    known: dict[str, bytes] = {}
    with aside(disk) as new:
        guest_disk.write(_noting(flattening.members(image), known), new)
        user = guest_entrypoint.account(image, known)
    ours = guest_initramfs.guest_nodes(kernel, user, disk=True, **has)
    _write(initramfs, {**ours, **guest_entrypoint.nodes(image, user)})


def _noting(found: Iterable[Found], known: dict[str, bytes]) -> Iterator[Found]:
    """Pass on an image's files; keep the accounts' as they come by, unless they are too large."""
    for member, contents in found:
        if contents and member.name in ACCOUNT_FILES and member.size <= accounts.MAX_BYTES:
            known[member.name] = contents.read()
            contents = io.BytesIO(known[member.name])
        yield member, contents


def _key(image: Image, kernel: Kernel, root: Root, network: bool, scratch: bool) -> str:
    """Return the name of the guest's files; it stands for all that they are made of."""
    tool = [guest_disk.version(), guest_disk.OPTIONS] if root == "disk" else []
    facts = [image.digest, kernel.release, root, network, scratch, *tool]
    key = hashlib.sha256(repr(facts).encode())
    scripts = [guest_initramfs.INIT, guest_initramfs.DISK_ROOT, guest_initramfs.SCRATCH]
    modules = [*kernel.power_button, *kernel.disk]
    modules += [*(kernel.network if network else ()), *(kernel.scratch if scratch else ())]
    for file in (*SOURCES, *scripts, *modules, guest_initramfs.busybox()):
        key.update(hashlib.sha256(file.read_bytes()).digest())
    return key.hexdigest()


def _write(path: Path, nodes: dict[str, cpio.Node]) -> None:
    """Write an initramfs.

    Not compressed: the file is small, the host's page cache holds it, and the guest would spend
    more time unpacking it than the hypervisor spends copying it.
    """
    with aside(path) as new, new.open("wb") as stream:
        cpio.write(stream, nodes)


@contextmanager
def aside(path: Path) -> Iterator[Path]:
    """Give the name of a file to be made, which becomes `path` whole or not at all (rename(2)).

    Raises:
        LabError: the file system's answer.
    """
    try:
        paths.make(path.parent)
        with tempfile.TemporaryDirectory(prefix=".new-", dir=path.parent) as folder:
            new = Path(folder) / path.name
            yield new
            new.chmod(0o644)  # whatever the umask
            os.replace(new, path)
    except OSError as error:
        remedy = "free some room, or set LAB_HOME to a folder of your own on a larger disk"
        raise LabError(f"write {path}", errno_text(error), remedy=remedy) from error
