"""The kernel that guests boot, and the drivers that it has as modules.

A distribution's kernel for virtual machines has even the drivers of virtual disks as modules: they
go into the guest's initramfs. Which other modules one needs is written in itself (its section
.modinfo, `modinfo -F depends`).

    python -m bench.guest_kernel TREE FOLDER    how set-up keeps from a kernel's tree what is needed

Host side; standard library only, but for modules compressed with zstd.
"""

from __future__ import annotations

import lzma
import os
import re
import shutil
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from labrt import paths
from labrt.errors import LabError, errno_text

POWER_BUTTON = ("button", "evdev")
DISK = ("virtio_pci", "virtio_blk", "squashfs", "overlay")
NETWORK = ("virtio_pci", "virtio_net")
SCRATCH = ("virtio_pci", "virtio_blk", "ext4")
DEVICES = (POWER_BUTTON, DISK, NETWORK, SCRATCH)


@dataclass(frozen=True)
class Kernel:
    """A guest kernel.

    Attributes:
        path: a bzImage.
        release: what `uname -r` says in it.
        power_button, disk, network, scratch: the modules to load for each, in order; a driver that
            is built in needs none.
        no_power_button: why a guest can't be asked to stop, or "" if it can.
        no_disk: why a guest's image can't be on a disk, or "" if it can.
        no_network: why a guest can't have a network card, or "" if it can.
        no_scratch: why a guest can't write to a disk (`bench.scratch`), or "" if it can.
    """

    path: Path
    release: str
    power_button: tuple[Path, ...] = ()
    no_power_button: str = ""
    disk: tuple[Path, ...] = ()
    no_disk: str = ""
    network: tuple[Path, ...] = ()
    no_network: str = ""
    scratch: tuple[Path, ...] = ()
    no_scratch: str = ""


def find_kernel() -> Kernel:
    """Return the kernel named by LAB_KERNEL, or the one that set-up put into LAB_HOME.

    Raises:
        LabError: there is none, or it isn't a bzImage.
    """
    if named := os.environ.get("LAB_KERNEL"):
        path = Path(named).absolute()
        return _kernel(path, [path.parent / "modules", Path("/lib/modules") / release(path)])
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


def read_module(module: Path) -> bytes:
    """Return a module's bytes, uncompressed: busybox's insmod doesn't know every compression.

    Raises:
        LabError: it is compressed in a way that the lab doesn't know.
    """
    data = module.read_bytes()
    if module.suffix == ".xz":
        return lzma.decompress(data)
    if module.suffix == ".zst":  # Ubuntu's
        import zstandard  # here: the doctor looks at kernels before there is such a library

        return zstandard.ZstdDecompressor().decompressobj().decompress(data)
    if module.suffix == ".ko":
        return data
    raise LabError(
        f"read the kernel module {module}",
        f"compressed as {module.suffix}, which the lab can't unpack",
        remedy=f"unpack it beside the kernel as modules/{module.name.split('.')[0]}.ko",
    )


class Modules:
    """The modules found in some folders, the first folder's before the next's."""

    def __init__(self, folders: Sequence[Path]) -> None:
        self._folders = folders
        self._files: dict[str, Path] = {}
        self._built_in: set[str] = set()
        for folder in folders:
            for file in sorted(folder.rglob("*.ko*")):
                self._files.setdefault(_name(file), file)
            for file in folder.rglob("modules.builtin"):
                self._built_in.update(_name(Path(line)) for line in file.read_text().splitlines())

    def needed(self, drivers: Sequence[str]) -> list[Path]:
        """Return the modules that these drivers are, what each depends on before it.

        Raises:
            LookupError: there is no such module, and it isn't built in.
        """
        return list(dict.fromkeys(file for name in drivers for file in self._with_needed(name)))

    def _with_needed(self, name: str) -> Iterator[Path]:
        if name in self._files:
            found = re.search(rb"\0depends=([^\0]*)", read_module(self._files[name]))
            for other in found[1].decode().split(",") if found and found[1] else ():
                yield from self._with_needed(other.replace("-", "_"))
            yield self._files[name]
        elif name not in self._built_in:
            raise LookupError(f"no module {name} in {self._folders[0]}")


def keep(tree: Path, folder: Path) -> None:
    """Copy from a kernel's modules those that guests need, as far as they are there."""
    modules = Modules([tree])
    for drivers in DEVICES:
        try:
            for file in modules.needed(drivers):
                shutil.copy(file, folder)
        except LookupError as error:
            print(error)  # such a guest is refused when somebody asks for it
    shutil.copy(tree / "modules.builtin", folder)


def _kernel(path: Path, folders: Sequence[Path]) -> Kernel:
    version = release(path)  # first: it tells what can't be read, and the remedy
    modules = Modules(folders)
    button, disk, network, scratch = (_drivers(modules, names) for names in DEVICES)
    return Kernel(path, version, *button, *disk, *network, *scratch)


def _drivers(modules: Modules, names: Sequence[str]) -> tuple[tuple[Path, ...], str]:
    try:
        return tuple(modules.needed(names)), ""
    except LookupError as error:
        return (), str(error.args[0])


def _name(file: Path) -> str:
    """Return what the kernel calls a module: virtio-blk.ko.xz is virtio_blk."""
    return file.name.partition(".ko")[0].replace("-", "_")


if __name__ == "__main__":
    keep(Path(sys.argv[1]), Path(sys.argv[2]))
