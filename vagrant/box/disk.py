"""A disk that a PC boots from by itself: a partition table, one ext4, and GRUB for the BIOS.

    sector 0        boot.img, GRUB's first 440 bytes, and the partition table (MBR)
    sector 1 …      core.img: GRUB with all it needs to read ext4
    1 MiB …         ext4: the whole machine, with /boot/grub/grub.cfg

All of it is written into a file: neither root nor a mount nor a loop device is needed. What
grub-install(8) would do on a running machine is done as the GRUB manual describes it ("BIOS
installation", MBR): boot.img reads core.img from sector 1, and core.img's own list of blocks, as
grub-mkimage(1) writes it, says that it goes on right there. Host side.
"""

from __future__ import annotations

import shutil
import struct
import subprocess
import uuid
from pathlib import Path

from labrt.errors import LabError

MIB = 1 << 20
SECTOR = 512
SIZE = 20 << 30  # bytes the machine sees; the file has holes where nothing is
START = MIB  # of the partition: where everybody begins it, and room for core.img
CODE = 440  # bytes of a boot sector that are program
TABLE = 446  # where the partition table begins
LINUX = 0x83
ACTIVE = 0x80
LARGEST_CHS = b"\xfe\xff\xff"  # "look at the sector numbers instead"
SIGNATURE = b"\x55\xaa"

GRUB = Path("/usr/lib/grub/i386-pc")
MODULES = ("biosdisk", "part_msdos", "ext2", "normal", "linux", "echo", "search", "search_label")
# "(,msdos1)": of the disk it was started from.
PREFIX = "(,msdos1)/boot/grub"

# Said one by one, so that the file system is the same whatever the host's mke2fs.conf(5) says, and
# GRUB can read it.
FEATURES = (
    "none,has_journal,ext_attr,resize_inode,dir_index,filetype,extent,64bit,flex_bg,sparse_super,"
    "large_file,huge_file,dir_nlink,extra_isize,metadata_csum"
)
LABEL = "lab"
PROGRAMS = {"mkfs.ext4": "e2fsprogs", "grub-mkimage": "grub-common", "qemu-img": "qemu-utils"}

# Debian keeps /vmlinuz and /initrd.img pointing to the newest kernel.
CONFIGURATION = f"""\
set timeout=0
menuentry "lab" {{
    linux /vmlinuz root=LABEL={LABEL} ro quiet console=tty0 console=ttyS0,115200
    initrd /initrd.img
}}
menuentry "lab, the kernel before" {{
    linux /vmlinuz.old root=LABEL={LABEL} ro console=tty0 console=ttyS0,115200
    initrd /initrd.img.old
}}
set fallback=1
"""


def check() -> None:
    """Refuse where this host can't make one.

    Raises:
        LabError: a program is missing.
    """
    wanted = [(shutil.which(name, path=PATH), name, package) for name, package in PROGRAMS.items()]
    wanted.append((str(GRUB) if GRUB.is_dir() else None, str(GRUB), "grub-pc-bin"))
    for found, name, package in wanted:
        if found is None:
            remedy = f"apt-get install {package}"
            raise LabError("make a disk with a boot loader", f"no {name}", remedy=remedy)


PATH = "/usr/local/sbin:/usr/sbin:/sbin:/usr/local/bin:/usr/bin:/bin"


def build(root: Path, disk: Path, size: int = SIZE) -> None:
    """Make the disk of a root file system, which must hold the kernel under /vmlinuz.

    Args:
        disk: the file to make; raw, with holes.
        size: bytes, a multiple of 1 MiB.

    Raises:
        LabError: a tool's answer.
    """
    configuration = root / "boot" / "grub" / "grub.cfg"
    configuration.parent.mkdir(parents=True, exist_ok=True)
    configuration.write_text(CONFIGURATION)
    with disk.open("xb") as file:
        file.truncate(size)
    _file_system(root, disk, size)
    core = disk.with_suffix(".core")
    try:
        _run("grub-mkimage", "-O", "i386-pc", "-p", PREFIX, "-o", core, *MODULES)
        with disk.open("r+b") as file:
            file.write(boot_sector((GRUB / "boot.img").read_bytes(), size))
            file.write(loader(core.read_bytes()))
    finally:
        core.unlink(missing_ok=True)


def boot_sector(program: bytes, size: int) -> bytes:
    """Return the first sector of a disk of `size` bytes: GRUB's program, and one partition."""
    numbers = struct.pack("<II", START // SECTOR, (size - START) // SECTOR)
    entry = bytes([ACTIVE]) + LARGEST_CHS + bytes([LINUX]) + LARGEST_CHS + numbers
    table = entry + bytes(3 * len(entry))
    identity = struct.pack("<IH", uuid.uuid5(uuid.NAMESPACE_URL, LABEL).fields[0], 0)
    return program[:CODE] + identity + table + SIGNATURE


def loader(core: bytes) -> bytes:
    """Return core.img as it follows the first sector.

    Raises:
        LabError: it doesn't fit before the partition.
    """
    if len(core) > START - SECTOR:
        raise LabError(
            "put GRUB before the partition",
            f"core.img has {len(core)} bytes, there is room for {START - SECTOR}",
            "another GRUB than Debian 12's",
        )
    return core


def _file_system(root: Path, disk: Path, size: int) -> None:
    """mke2fs(8): -d copies a tree in, owners, modes, devices and extended attributes included."""
    identity = uuid.uuid5(uuid.NAMESPACE_URL, f"{LABEL} {size}")
    # Inode tables aren't zeroed, a file with holes is zero already; so fstab has noinit_itable.
    options = f"offset={START},lazy_itable_init=1,hash_seed={identity},nodiscard"
    _run(
        *("mkfs.ext4", "-q", "-F", "-O", FEATURES, "-E", options, "-L", LABEL, "-U", identity),
        *("-d", root, disk, f"{(size - START) // 1024}k"),
    )


def _run(*command: str | Path | uuid.UUID) -> None:
    words = [str(word) for word in command]
    done = subprocess.run(words, capture_output=True, text=True, env={"PATH": PATH, "LC_ALL": "C"})
    if done.returncode != 0:
        said = done.stderr.strip().splitlines()
        raise LabError(f"run {words[0]}", said[-1] if said else f"it ended with {done.returncode}")
