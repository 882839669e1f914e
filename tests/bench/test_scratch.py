"""bench/scratch.py: the room that an instance gets to write in, and that nothing of it stays."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from bench import qemu, scratch
from bench.scratch import Scratch
from bench.subjects.base import InstanceFailed
from labrt import users
from labrt.errors import LabError
from tests.bench.conftest import some_machine

MIB = 2**20
needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files away")
needs_mkfs = pytest.mark.skipif(
    scratch.no_file_system() is not None, reason=str(scratch.no_file_system())
)


@pytest.fixture(autouse=True)
def home(monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A LAB_HOME of the test's own, on a disk: /var/tmp is no place in RAM (hier(7))."""
    folder = Path(tempfile.mkdtemp(prefix="lab-", dir="/var/tmp"))
    monkeypatch.setenv("LAB_HOME", str(folder))
    yield folder
    shutil.rmtree(folder)


def test_without_a_size_there_is_none(home: Path) -> None:
    none = Scratch("lab-x")
    with none.made():
        assert (none.volumes, none.words) == ((), [])
        assert list(home.iterdir()) == []
    none.remove()


def test_it_is_a_folder_of_its_users_alone_on_the_disk_of_the_lab(home: Path) -> None:
    room = Scratch("lab-x", MIB, os.geteuid())
    with room.made():
        pass
    assert room.volumes == (f"{home}/scratch/lab-x:/scratch",)
    found = room.folder.stat()
    assert (found.st_uid, found.st_mode & 0o777, found.st_dev) == (
        os.geteuid(),
        0o700,
        home.stat().st_dev,
    )
    (room.folder / "work").write_text("x")
    room.remove()
    room.remove()
    assert list(scratch.home().iterdir()) == []


@needs_root
def test_a_containers_root_may_write_to_its() -> None:
    room = Scratch.mapped("lab-x", MIB)
    with room.made():
        assert room.folder.stat().st_uid == users.ROOT_ID_BASE
    room.remove()


def test_if_the_start_fails_it_goes() -> None:
    room = Scratch("lab-x", MIB, os.geteuid())
    with pytest.raises(ZeroDivisionError), room.made():
        1 / 0  # noqa: B018
    assert not room.folder.exists()


def test_that_of_another_instance_is_left_alone() -> None:
    first = Scratch("lab-x", MIB, os.geteuid())
    with first.made():
        pass
    with pytest.raises(InstanceFailed, match="File exists"), first.made():
        pass
    assert first.folder.exists()
    first.remove()


def test_what_a_killed_bench_has_left_is_found() -> None:
    for name in ("lab-b", "lab-a"):
        with Scratch(name, MIB, os.geteuid()).made():
            pass
    (scratch.home() / "lab-c").touch()  # a VM's
    assert scratch.remove_leftovers() == ["lab-a", "lab-b", "lab-c"]
    assert scratch.remove_leftovers() == []


def test_a_home_on_a_disk_will_do(home: Path) -> None:
    assert scratch.refusal() is None
    assert list(home.iterdir()) == []


def test_a_home_in_ram_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    with tempfile.TemporaryDirectory(dir="/dev/shm") as folder:
        monkeypatch.setenv("LAB_HOME", folder)
        assert str(scratch.refusal()).endswith("set LAB_HOME to a folder on a disk")
        assert list(Path(folder).iterdir()) == []


def test_what_is_in_the_page_cache_is_told_from_what_is_not(home: Path) -> None:
    with open(home / "file", "wb+") as file:
        file.write(bytes(scratch.BLOCK))
        file.flush()
        assert scratch._is_cached(file.fileno())
        os.fsync(file.fileno())
        os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
        assert not scratch._is_cached(file.fileno())


@needs_mkfs
def test_a_vms_disk_has_its_room_and_a_clean_file_system(home: Path) -> None:
    disk = home / "disk"
    scratch.make_disk(disk, 32 * MIB, (os.geteuid(), os.getegid()))
    found = disk.stat()
    assert (found.st_size, found.st_mode & 0o777) == (32 * MIB, 0o600)
    assert found.st_blocks * 512 >= 32 * MIB  # no hole that a write would have to fill first
    check = ["fsck.ext4", "-n", "-f", disk]
    done = subprocess.run(check, capture_output=True, text=True, env=scratch._environment())
    assert done.returncode == 0, done.stdout
    scratch.remove_disk(disk)
    scratch.remove_disk(disk)
    assert list(home.iterdir()) == []


@needs_mkfs
def test_a_disk_that_cannot_be_made_is_told_and_leaves_nothing(home: Path) -> None:
    with pytest.raises(LabError, match="make a file system"):
        scratch.make_disk(home / "disk", scratch.BLOCK, (os.geteuid(), os.getegid()))
    with pytest.raises(LabError, match=r"No space left on device.*larger disk"):
        scratch.make_disk(home / "disk", 2**43, (os.geteuid(), os.getegid()))
    assert list(home.iterdir()) == []


def test_the_rows_tell_what_it_is_and_what_it_lies_on() -> None:
    assert scratch.conditions(None, "vm") == {}
    found = [scratch.conditions(MIB, kind) for kind in ("process", "container", "vm")]
    assert {each["scratch"] for each in found} == {MIB}
    assert len({each["scratch_form"] for each in found}) == 3
    (kind,) = {each["scratch_file_system"] for each in found}
    told = subprocess.run(
        ["findmnt", "-n", "-o", "FSTYPE", "-T", "/var/tmp"], capture_output=True, text=True
    )
    assert kind == told.stdout.strip()


def test_a_vm_writes_past_the_hosts_page_cache_and_under_its_limit() -> None:
    said = qemu.domain_xml(some_machine(scratch=Path("/r"), io=5))
    assert "type='raw' cache='none' io='native'/>\n      <source file='/r'/>" in said
    assert "<serial>scratch</serial>\n      <iotune><read_bytes_sec>5</read_bytes_sec>" in said
    assert "<readonly/>" not in said
