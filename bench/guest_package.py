"""A guest on its way: kernel, initramfs and disk as the layers of an image, a file in each.

So a VM travels as a container does, through the same registry by the same code, and a file that
hasn't changed doesn't travel again. KubeVirt ships the disks of its VMs so, too
(https://kubevirt.io/user-guide/storage/disks_and_volumes/#containerdisk). Host side.
"""

from __future__ import annotations

import tarfile
from functools import partial
from pathlib import Path
from typing import IO

from bench import cpio, guest_kernel
from bench.guest import Guest
from bench.guest_kernel import Kernel
from labrt.errors import LabError
from labrt.images import layers, making, store
from labrt.images.store import Image

KERNEL, INITRAMFS, DISK = "vmlinuz", "initramfs", "disk"


def pack(built: Guest, name: str) -> Image:
    """Make an image of a guest's files. Kernel and disk are compressed already."""
    files = {KERNEL: built.kernel.path, INITRAMFS: built.initramfs}
    if built.disk:
        files[DISK] = built.disk
    with store.adding():
        stack = [
            making.layer(
                partial(_write, file, path),
                store.LAYER_GZIP if file == INITRAMFS else store.LAYER_TAR,
            )
            for file, path in files.items()
        ]
        return making.image(name, stack, making.config())


def _write(name: str, path: Path, stream: IO[bytes]) -> None:
    with tarfile.open(fileobj=stream, mode="w|") as archive, path.open("rb") as data:
        member = tarfile.TarInfo(name)
        member.size, member.mode = path.stat().st_size, 0o644
        archive.addfile(member, data)


def unpack(packed: Image, digest: str) -> Guest:
    """Unpack the files and return the guest, as the guest of the image with that digest.

    Raises:
        LabError: one is missing; it is no guest.
    """
    found = files(packed)
    try:
        path = found[KERNEL]
        kernel = Kernel(path, guest_kernel.release(path))
        return Guest(kernel, found[INITRAMFS], digest, found.get(DISK))
    except KeyError as error:
        raise LabError(f"unpack the guest {packed.name}", f"it has no {error.args[0]}") from None


def files(packed: Image) -> dict[str, Path]:
    """Return the guest's files by name, unpacked."""
    return {path.name: path for folder in layers.unpacked(packed) for path in folder.iterdir()}


def contents(packed: Image) -> dict[str, int]:
    """Return the bytes of a guest's files by kind: its kernel; its own (process 1, drivers: what is
    below /.guest); the image's files."""
    found = files(packed)
    own = image = 0
    with found[INITRAMFS].open("rb") as stream:
        for name, size in cpio.sizes(stream):
            if name.startswith(".guest"):
                own += size
            else:
                image += size
    if DISK in found:
        own, image = own + image, found[DISK].stat().st_size
    return {"kernel": found[KERNEL].stat().st_size, "guest": own, "files": image}
