"""labrt/building/packing.py: the same files are the same bytes, and marks become whiteouts."""

from __future__ import annotations

import io
import os
import socket
import tarfile
from collections.abc import Callable
from pathlib import Path

import pytest

from labrt.building.packing import ChangesPacker, Packer
from labrt.errors import LabError
from tests.labrt.conftest import needs_root

EPOCH = 1_000_000_000


def packed(packer: Callable[[io.BytesIO], Packer], folder: Path) -> dict[str, tarfile.TarInfo]:
    stream = io.BytesIO()
    fd = os.open(folder, os.O_RDONLY)
    writer = packer(stream)
    writer.add_below(fd, "")
    writer.close()
    os.close(fd)
    stream.seek(0)
    with tarfile.open(fileobj=stream) as archive:
        return {member.name: member for member in archive}


def plain(stream: io.BytesIO) -> Packer:
    return Packer(stream, EPOCH)


def changes(stream: io.BytesIO) -> Packer:
    return ChangesPacker(stream, EPOCH, {"proc", "dev", "etc/hosts"})


def test_names_are_sorted_and_no_time_is_later_than_the_given_one(tmp_path: Path) -> None:
    for name in ("b", "a", "C"):
        (tmp_path / name).write_text(name)
    os.utime(tmp_path / "b", (5, 5))
    found = packed(plain, tmp_path)
    assert [(name, member.mtime) for name, member in found.items()] == [
        ("C", EPOCH),
        ("a", EPOCH),
        ("b", 5),
    ]
    assert {(member.uname, member.gname) for member in found.values()} == {("", "")}


def test_kinds_modes_and_attributes_are_kept(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    (tmp_path / "file").chmod(0o4755)
    os.setxattr(tmp_path / "file", "user.note", b"\x00\xff")
    (tmp_path / "same").hardlink_to(tmp_path / "file")
    (tmp_path / "link").symlink_to("/etc/passwd")
    os.mkfifo(tmp_path / "pipe")
    with socket.socket(socket.AF_UNIX) as way:
        way.bind(str(tmp_path / "socket"))
        found = packed(plain, tmp_path)
    assert set(found) == {"file", "same", "link", "pipe"}
    assert found["file"].mode == 0o4755
    note = found["file"].pax_headers["SCHILY.xattr.user.note"]
    assert os.fsencode(note) == b"\x00\xff"
    assert (found["same"].type, found["same"].linkname) == (tarfile.LNKTYPE, "file")
    assert (found["link"].type, found["link"].linkname) == (tarfile.SYMTYPE, "/etc/passwd")
    assert found["pipe"].isfifo()


def test_a_name_that_is_no_text_is_kept(tmp_path: Path) -> None:
    name = os.fsdecode(b"\xff")
    (tmp_path / name).write_text("x")
    assert list(packed(plain, tmp_path)) == [name]


def test_an_unwanted_folder_is_written_for_what_is_wanted_in_it(tmp_path: Path) -> None:
    for path in ("out/a/kept", "out/b/left", "in/left"):
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).write_text("x")

    def wanted(name: str) -> bool:
        return name.endswith("kept") or name == "in"

    found = packed(lambda stream: Packer(stream, EPOCH, wanted=wanted), tmp_path)
    assert list(found) == ["in", "out", "out/a", "out/a/kept"]


@needs_root
def test_what_overlayfs_marks_becomes_whiteouts(tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    os.mknod(tmp_path / "gone", 0o600 | 0o020000, os.makedev(0, 0))
    os.mknod(tmp_path / "folder" / "gone", 0o600 | 0o020000, os.makedev(0, 0))
    os.setxattr(tmp_path / "folder", "user.overlay.opaque", b"y")
    os.setxattr(tmp_path / "folder", "user.overlay.origin", b"x")
    found = packed(changes, tmp_path)
    assert list(found) == ["folder", "folder/.wh..wh..opq", "folder/.wh.gone", ".wh.gone"]
    assert not any("overlay" in key for m in found.values() for key in m.pax_headers)
    assert all(member.isreg() and not member.size for name, member in found.items() if "." in name)


@needs_root
def test_a_device_is_no_whiteout(tmp_path: Path) -> None:
    os.mknod(tmp_path / "null", 0o600 | 0o020000, os.makedev(1, 3))
    found = packed(changes, tmp_path)
    assert (found["null"].devmajor, found["null"].devminor) == (1, 3)


def test_what_the_lab_has_put_there_is_left_out(tmp_path: Path) -> None:
    for folder in ("proc/below", "dev", "etc"):
        (tmp_path / folder).mkdir(parents=True)
    (tmp_path / "etc" / "hosts").write_text("")
    assert packed(changes, tmp_path) == {}
    (tmp_path / "etc" / "own").write_text("")
    assert list(packed(changes, tmp_path)) == ["etc", "etc/own"]


def test_an_empty_folder_is_a_change(tmp_path: Path) -> None:
    (tmp_path / "new").mkdir()
    assert list(packed(changes, tmp_path)) == ["new"]


@pytest.mark.parametrize("name", [".wh.name", ".wh..wh..opq"])
def test_a_file_that_would_mean_a_deletion_is_refused(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_text("x")
    with pytest.raises(LabError, match="means a deletion"):
        packed(changes, tmp_path)
