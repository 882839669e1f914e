"""A disk that a PC boots from by itself, as computers with a BIOS do: the firmware starts what the
disk's first sector holds, here SYSLINUX, which reads the kernel and its initramfs by the firmware's
own disk driver (INT 13h) and starts them.

One FAT file system without a partition table. mtools(1) and syslinux(1) write into its file: no
root and no mount is needed, and it takes less than 0.1 s. GRUB would do the same with more parts.
Host side.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
from pathlib import Path

from bench.guest import Guest, aside
from labrt.errors import LabError

PROGRAMS = {"mformat": "mtools", "mcopy": "mtools", "syslinux": "syslinux"}  # Debian's packages
ROOM = 4 << 20  # bytes besides kernel and initramfs: the boot loader (0.2 MB), the tables
SECTOR = 512
CLUSTERS = 60_000  # at most: FAT16 counts up to 65,524 (and at least 4,085, which ROOM sees to)
CONFIGURATION = """\
DEFAULT lab
PROMPT 0
LABEL lab
 LINUX linux
 INITRD initrd
 APPEND {}
"""


def check() -> None:
    """Refuse where this host can't make one.

    Raises:
        LabError: a program is missing.
    """
    for program, package in PROGRAMS.items():
        if shutil.which(program) is None:
            raise LabError(
                "make a disk with a boot loader",
                f"no {program}",
                remedy=f"apt-get install {package}",
            )


def build(guest: Guest, command_line: str) -> Path:
    """Return a disk that boots a guest, made on first use and kept beside the guest's files.

    Raises:
        LabError: as `check`; a tool's answer; the disk is full.
    """
    check()
    key = hashlib.sha256(repr([guest.initramfs.name, command_line]).encode())
    key.update(Path(__file__).read_bytes())
    disk = guest.initramfs.with_name(f"{key.hexdigest()}.boot")
    if not disk.exists():
        with aside(disk) as new:
            _make(new, guest, command_line)
    return disk


def _make(disk: Path, guest: Guest, command_line: str) -> None:
    size = ROOM + guest.kernel.path.stat().st_size + guest.initramfs.stat().st_size
    sectors = size // SECTOR
    cluster = 1 << (sectors // CLUSTERS).bit_length()
    # -N: the serial number, else drawn. Heads and sectors are what a BIOS makes of such a disk.
    shape = ["-h", "16", "-s", "63", "-T", str(sectors), "-c", str(cluster)]
    _run("mformat", "-C", "-N", "0", *shape, "-i", str(disk), "::")
    _run("syslinux", "--install", str(disk))
    _run("mcopy", "-i", str(disk), str(guest.kernel.path), "::linux")
    _run("mcopy", "-i", str(disk), str(guest.initramfs), "::initrd")
    _run("mcopy", "-i", str(disk), "-", "::syslinux.cfg", text=CONFIGURATION.format(command_line))


def _run(*command: str, text: str = "") -> None:
    done = subprocess.run(
        command,
        input=text,
        capture_output=True,
        text=True,
        env=os.environ | {"SOURCE_DATE_EPOCH": "0"},
    )
    if done.returncode:
        raise LabError("make a disk with a boot loader", " ".join(done.stderr.split()))
