"""Turns an image into a guest: a kernel and a root file system that a virtual machine boots.

The image is the same digest that runs as a container. Its layers are laid over one another as
overlayfs would (upper files hide lower ones, whiteouts remove), and the result becomes the guest's
root file system in RAM (initramfs, the kernel's Documentation/filesystems/ramfs-rootfs-initramfs).
What a VM needs and a container doesn't (a process 1, the drivers of the power button) is added
below /.guest and touches nothing of the image.

No disk: a container's image lies in the host's page cache when it starts, so the guest's does too.
Host side, except `guest_init.sh`.
"""

from __future__ import annotations

import hashlib
import lzma
import os
import posixpath
import shlex
import shutil
import stat
import tarfile
import tempfile
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from bench import cpio
from bench.cpio import Node
from labrt import paths
from labrt.errors import LabError, errno_text
from labrt.images import unpacking
from labrt.images.store import Image

INIT_SCRIPT = Path(__file__).with_name("guest_init.sh")
POWER_BUTTON = ("button", "evdev")  # loaded in this order

# console: messages of the kernel, kept as evidence. quiet: each character costs an exit to the
# hypervisor. panic=-1: a kernel that panics resets at once, so the host sees it end at once.
# cryptomgr.notests: no self-tests of ciphers that nobody uses; 0.4 s of 1.8 s under emulation.
COMMAND_LINE = "console=ttyS0 quiet panic=-1 cryptomgr.notests rdinit=/.guest/init"

WHITEOUT = ".wh."
OPAQUE = ".wh..wh..opq"


@dataclass(frozen=True)
class Kernel:
    """A guest kernel.

    Attributes:
        path: a bzImage.
        release: what `uname -r` says in it.
        modules: the power button's modules that must be loaded, in order; a driver that is built
            in needs none.
        no_power_button: why a guest can't be asked to stop, or "" if it can.
    """

    path: Path
    release: str
    modules: tuple[Path, ...]
    no_power_button: str = ""


@dataclass(frozen=True)
class Guest:
    """What a VM boots: `-kernel`, `-initrd` and `-append` of qemu(1)."""

    kernel: Kernel
    initramfs: Path
    digest: str
    command_line: str = COMMAND_LINE


def find_kernel() -> Kernel:
    """Return the kernel named by LAB_KERNEL, or the one that set-up put into LAB_HOME.

    Raises:
        LabError: there is none, or it isn't a bzImage.
    """
    if named := os.environ.get("LAB_KERNEL"):
        path = Path(named).absolute()
        return _kernel(path, [path.parent / "modules", *_module_folders(release(path))])
    cloud = paths.home() / "kernels" / "cloud"
    return _kernel(cloud / "vmlinuz", [cloud / "modules"])


def release(bzimage: Path) -> str:
    """Read a kernel's release from its file.

    Offset 0x20e of a bzImage points to its version string (the kernel's
    Documentation/arch/x86/boot.rst).

    Raises:
        LabError: it can't be read, or is no bzImage.
    """
    try:
        with bzimage.open("rb") as stream:
            head = stream.read(0x8000)
    except OSError as error:
        raise LabError(
            f"read the guest kernel {bzimage}",
            errno_text(error),
            remedy="run ./lab setup, or let LAB_KERNEL name a kernel (bzImage)",
        ) from error
    if head[0x202:0x206] != b"HdrS":
        raise LabError(
            f"read the guest kernel {bzimage}",
            "it is not a bzImage",
            remedy="let LAB_KERNEL name a Linux kernel for x86, as found in /boot/vmlinuz-*",
        )
    start = int.from_bytes(head[0x20E:0x210], "little") + 0x200
    return head[start : head.index(b"\0", start)].split()[0].decode()


def build(image: Image, kernel: Kernel | None = None) -> Guest:
    """Return the guest of `image`, built on first use and kept in LAB_HOME/guests.

    The file's name holds all that it is made of: image digest, kernel release, our own init.

    Raises:
        LabError: the image can't be a guest, there is no kernel or no busybox.
        OSError: the disk is full.
    """
    kernel = kernel or find_kernel()
    ours = _guest_folder(image, kernel)
    key = hashlib.sha256()
    for text in (image.digest, kernel.release):
        key.update(text.encode() + b"\0")
    for name, node in sorted(ours.items()):
        key.update(f"{name} {node.mode:o} {len(node.data)}\0".encode() + node.data)
    path = paths.home() / "guests" / f"{key.hexdigest()}.cpio"
    if not path.exists():
        _write(path, {**flatten(unpacking.open_layers(image)), **ours})
    return Guest(kernel, path, image.digest)


def flatten(tars: Iterable[tarfile.TarFile]) -> dict[str, Node]:
    """Lay layers (lowest first) over one another: path → inode, parents included.

    Whiteouts as in the OCI image specification, layer.md: "D/.wh.F" removes F that lower layers
    put into D, "D/.wh..wh..opq" all of them.
    """
    root: dict[str, Node] = {}
    for tar in tars:
        added: dict[str, Node] = {}
        for member in tar:
            name = _inside(member.name)
            folder, base = posixpath.split(name)
            if base == OPAQUE:
                _remove_below(root, folder)
            elif base.startswith(WHITEOUT):
                _remove(root, posixpath.join(folder, base.removeprefix(WHITEOUT)))
            elif name:
                added[name] = _node(tar, member, {**root, **added} if member.islnk() else {})
        for name, node in added.items():
            if not stat.S_ISDIR(node.mode):
                _remove(root, name)
            root[name] = node
    for name in list(root):
        _add_parents(root, name)
    return root


def _node(tar: tarfile.TarFile, member: tarfile.TarInfo, known: dict[str, Node]) -> Node:
    """Return the inode of one archive member; a hard link's is that of the name it links to."""
    if member.islnk():
        target = known.get(_inside(member.linkname))
        if target is None:
            raise LabError(
                f"unpack {member.name}", f"it is a hard link to {member.linkname}, which is absent"
            )
        return target
    kinds = {
        tarfile.DIRTYPE: stat.S_IFDIR,
        tarfile.SYMTYPE: stat.S_IFLNK,
        tarfile.CHRTYPE: stat.S_IFCHR,
        tarfile.BLKTYPE: stat.S_IFBLK,
        tarfile.FIFOTYPE: stat.S_IFIFO,
    }
    data = b""
    if member.issym():
        data = member.linkname.encode()
    elif member.isreg() and (stream := tar.extractfile(member)):
        data = stream.read()
    return Node(
        kinds.get(member.type, stat.S_IFREG) | stat.S_IMODE(member.mode),
        data,
        member.uid,
        member.gid,
        int(member.mtime),
        (member.devmajor, member.devminor) if member.isdev() else (0, 0),
    )


def _inside(name: str) -> str:
    """Return an archive's path without leading "/" or "./"; "" is the root itself.

    Raises:
        LabError: it leads out of the root.
    """
    path = posixpath.normpath(name.lstrip("/"))
    if path == ".." or path.startswith("../"):
        raise LabError(f"unpack {name}", "the path leads out of the image")
    return "" if path == "." else path


def _remove(root: dict[str, Node], name: str) -> None:
    root.pop(name, None)
    _remove_below(root, name)


def _remove_below(root: dict[str, Node], folder: str) -> None:
    prefix = f"{folder}/" if folder else ""
    for name in [name for name in root if name.startswith(prefix)]:
        del root[name]


def _add_parents(root: dict[str, Node], name: str) -> None:
    while name := posixpath.dirname(name):
        root.setdefault(name, Node(stat.S_IFDIR | 0o755))


def _guest_folder(image: Image, kernel: Kernel) -> dict[str, Node]:
    """Return what /.guest holds: our process 1, its tools, and the image's entry point."""
    program, folder = stat.S_IFREG | 0o755, stat.S_IFDIR | 0o755
    found = {
        ".guest": Node(folder),
        ".guest/init": Node(program, INIT_SCRIPT.read_bytes()),
        ".guest/busybox": Node(program, _busybox().read_bytes()),
        ".guest/entrypoint": Node(program, entrypoint(image).encode()),
        ".guest/ttyS1": Node(stat.S_IFCHR | 0o600, rdev=(4, 65)),
        ".guest/modules": Node(folder),
        # The kernel opens /dev/console for process 1, before anything is mounted.
        "dev": Node(folder),
        "dev/console": Node(stat.S_IFCHR | 0o600, rdev=(5, 1)),
        "proc": Node(folder),
        "sys": Node(folder),
    }
    for number, module in enumerate(kernel.modules):
        name = module.name.split(".")[0]
        found[f".guest/modules/{number}-{name}.ko"] = Node(stat.S_IFREG | 0o644, _plain(module))
    return found


def entrypoint(image: Image) -> str:
    """Return a script that runs the image's entry point as its OCI image config says.

    Raises:
        LabError: there is nothing to run, or it must run as another user than root.
    """
    if not image.command:
        raise LabError(f"boot {image.name} as a VM", "it has no Entrypoint and no Cmd")
    user = image.config["config"].get("User", "")
    if user not in ("", "0", "root", "0:0", "root:root"):
        raise LabError(
            f"boot {image.name} as a VM",
            f"its entry point runs as user {user}",
            "the lab's guests run it as root",
            "build the image without User",
        )
    run = shlex.join(["env", "-i", *image.env, *image.command])
    folder = shlex.quote(image.working_dir)
    return f"#!/.guest/busybox sh\ncd {folder} && exec /.guest/busybox {run}\n"


def _busybox() -> Path:
    """Return the host's static busybox. The guest's process 1 needs it, whatever the image has."""
    if found := shutil.which("busybox"):
        return Path(found)
    raise LabError(
        "build the guest", "no busybox", remedy="run ./lab setup (Debian package busybox-static)"
    )


def _module_folders(kernel_release: str) -> list[Path]:
    return [Path("/lib/modules") / kernel_release]


def _kernel(path: Path, folders: list[Path]) -> Kernel:
    """Look for the power button's drivers in `folders`: as modules, or listed as built in."""
    kernel_release = release(path)
    modules = []
    for name in POWER_BUTTON:
        found = [file for folder in folders for file in sorted(folder.rglob(f"{name}.ko*"))]
        if found:
            modules.append(found[0])
        elif not _built_in(name, folders):
            why = f"no module {name} for kernel {kernel_release} in {folders[0]}"
            return Kernel(path, kernel_release, (), why)
    return Kernel(path, kernel_release, tuple(modules))


def _built_in(name: str, folders: list[Path]) -> bool:
    """Whether the kernel's list modules.builtin names the driver."""
    lists = [file for folder in folders for file in folder.rglob("modules.builtin")]
    return any(f"/{name}.ko\n" in file.read_text() for file in lists)


def _plain(module: Path) -> bytes:
    """Return a module's bytes, uncompressed: busybox's insmod doesn't know every compression."""
    data = module.read_bytes()
    if module.suffix == ".xz":
        return lzma.decompress(data)
    if module.suffix == ".ko":
        return data
    raise LabError(
        f"read the kernel module {module}",
        f"compressed as {module.suffix}, which the lab can't unpack",
        remedy=f"unpack it beside the kernel as modules/{module.name.split('.')[0]}.ko",
    )


def _write(path: Path, names: dict[str, Node]) -> None:
    """Write the archive whole or not at all (rename(2)).

    Not compressed: the file is small, the host's page cache holds it, and the guest would spend
    more time unpacking it than the hypervisor spends copying it.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor, temporary = tempfile.mkstemp(prefix=".new-", dir=path.parent)
    try:
        with os.fdopen(descriptor, "wb") as stream:
            cpio.write(stream, names)
            stream.flush()
            os.fchmod(stream.fileno(), 0o644)
        os.replace(temporary, path)
    except BaseException:
        os.unlink(temporary)
        raise
