"""bench/boot_disk.py: a disk that a BIOS boots from, made without root. Its boot is in
subjects/test_vm_ways.py.
"""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from bench import boot_disk
from bench.guest import Guest
from bench.guest_kernel import Kernel
from labrt.errors import LabError

LINE = "console=ttyS0 quiet"


@pytest.fixture
def guest(tmp_path: Path) -> Guest:
    """Files of a guest; nobody boots them here."""
    kernel, initramfs = tmp_path / "vmlinuz", tmp_path / "key.cpio"
    kernel.write_bytes(b"kernel" * 100_000)
    initramfs.write_bytes(b"files" * 300_000)
    return Guest(Kernel(kernel, "6.1"), initramfs, "sha256:" + "ab" * 32)


@pytest.fixture(autouse=True)
def _needs_its_tools() -> None:
    if missing := [program for program in boot_disk.PROGRAMS if not shutil.which(program)]:
        pytest.skip(f"no {missing[0]}; apt-get install mtools syslinux")


def on(disk: Path, name: str) -> bytes:
    return subprocess.run(
        ["mcopy", "-i", disk, f"::{name}", "-"], capture_output=True, check=True
    ).stdout


def test_it_holds_kernel_initramfs_and_the_command_line(guest: Guest) -> None:
    disk = boot_disk.build(guest, LINE)
    assert on(disk, "linux") == guest.kernel.path.read_bytes()
    assert on(disk, "initrd") == guest.initramfs.read_bytes()
    assert f"APPEND {LINE}\n" in on(disk, "syslinux.cfg").decode()


def test_its_first_sector_is_one_that_a_bios_starts(guest: Guest) -> None:
    sector = boot_disk.build(guest, LINE).read_bytes()[:512]
    assert sector[510:] == b"\x55\xaa"
    assert b"SYSLINUX" in sector


def test_it_is_made_once_for_each_command_line(guest: Guest) -> None:
    first = boot_disk.build(guest, LINE)
    made = first.stat().st_mtime_ns
    assert boot_disk.build(guest, LINE).stat().st_mtime_ns == made
    assert boot_disk.build(guest, f"{LINE} panic=-1") != first


@pytest.mark.parametrize("size", [1, 40 << 20, 200 << 20])
def test_guests_of_all_sizes_find_room(guest: Guest, size: int) -> None:
    with guest.initramfs.open("wb") as sparse:
        sparse.truncate(size)
    assert len(on(boot_disk.build(guest, LINE), "initrd")) == size


def test_what_fails_leaves_nothing_half_made(guest: Guest, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(boot_disk, "ROOM", 0)
    guest.initramfs.write_bytes(bytes(8 << 20))
    before = set(guest.initramfs.parent.iterdir())
    with pytest.raises(LabError, match=r"make a disk with a boot loader.*full"):
        boot_disk.build(guest, LINE)
    assert set(guest.initramfs.parent.iterdir()) == before


def test_a_tool_that_is_missing_is_named_with_its_package(
    guest: Guest, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(LabError, match=r"no mformat.*apt-get install mtools"):
        boot_disk.build(guest, LINE)
