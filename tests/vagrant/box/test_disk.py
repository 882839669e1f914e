"""vagrant/box/disk.py: a disk made without root, mounts or loop devices, that a PC's BIOS boots."""

from __future__ import annotations

import io
import shutil
import subprocess
from pathlib import Path

import pytest

from bench import cpio, guest_kernel
from labrt.errors import LabError
from vagrant.box import disk

MIB = 1 << 20
SIZE = 128 * MIB
BOOT_SECONDS = 60

INIT = b"#!/bin/busybox sh\nbusybox echo lab:booted\nbusybox poweroff -f\n"


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A machine as small as can be: the lab's guest kernel, busybox, and a line that it prints."""
    folder = tmp_path_factory.mktemp("root")
    shutil.copy(guest_kernel.find_kernel().path, folder / "vmlinuz")
    busybox = cpio.Node(0o100755, Path("/bin/busybox").read_bytes())
    names = {
        "bin": cpio.Node(0o040755),
        "bin/busybox": busybox,
        "dev": cpio.Node(0o040755),
        "dev/console": cpio.Node(0o020600, rdev=(5, 1)),
        "init": cpio.Node(0o100755, INIT),
    }
    archive = io.BytesIO()
    cpio.write(archive, names)
    (folder / "initrd.img").write_bytes(archive.getvalue())
    (folder / "told").write_text("kept\n")
    (folder / "told").chmod(0o4711)
    return folder


@pytest.fixture(scope="module")
def made(root: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    disk.check()
    file = tmp_path_factory.mktemp("disk") / "lab.raw"
    disk.build(root, file, SIZE)
    return file


def test_it_has_one_active_linux_partition_from_the_first_mebibyte_to_the_end(made: Path) -> None:
    told = subprocess.run(["sfdisk", "--dump", made], capture_output=True, text=True, check=True)
    assert "label: dos" in told.stdout
    (line,) = [line for line in told.stdout.splitlines() if " start=" in line]
    fields = line.split(" : ")[1].replace(" ", "").split(",")
    assert fields == ["start=2048", f"size={(SIZE - MIB) // 512}", "type=83", "bootable"]


def test_the_file_system_is_whole_and_holds_the_root(made: Path, tmp_path: Path) -> None:
    partition = tmp_path / "partition"
    with made.open("rb") as whole, partition.open("wb") as part:
        whole.seek(MIB)
        shutil.copyfileobj(whole, part)
    subprocess.run(["e2fsck", "-fn", partition], check=True, capture_output=True)
    told = subprocess.run(
        ["debugfs", "-R", "stat /told", partition], capture_output=True, text=True, check=True
    )
    assert "Mode:  04711" in told.stdout


def test_the_file_has_holes(made: Path) -> None:
    assert made.stat().st_size == SIZE
    assert made.stat().st_blocks * 512 < SIZE // 2


def test_a_bios_boots_it_without_being_handed_a_kernel(made: Path) -> None:
    """SeaBIOS, GRUB, the kernel, its initramfs: over a SATA disk, as VirtualBox has one."""
    machine = ["qemu-system-x86_64", "-machine", "q35,accel=tcg", "-m", "256", "-nic", "none"]
    machine += ["-drive", f"file={made},format=raw,snapshot=on", "-no-reboot"]
    told = subprocess.run(
        [*machine, "-name", "lab-disk", "-display", "none", "-serial", "stdio"],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        errors="replace",
        timeout=BOOT_SECONDS,
    )
    assert "lab:booted" in told.stdout


def test_the_same_root_gives_the_same_boot_sector(made: Path, tmp_path: Path) -> None:
    with made.open("rb") as file:
        first = file.read(512)
    assert first == disk.boot_sector((disk.GRUB / "boot.img").read_bytes(), SIZE)
    assert first[510:] == b"\x55\xaa"


def test_a_boot_loader_too_large_for_its_place_is_refused() -> None:
    with pytest.raises(LabError, match="there is room for 1048064"):
        disk.loader(bytes(MIB))


def test_a_tool_s_complaint_is_told_and_nothing_else_is_left(root: Path, tmp_path: Path) -> None:
    with pytest.raises(LabError, match=r"run mkfs\.ext4"):
        disk.build(root, tmp_path / "lab.raw", 4 * MIB)  # too small for what is in it
    assert [file.name for file in tmp_path.iterdir()] == ["lab.raw"]
