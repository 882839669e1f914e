"""labrt/building/copies.py: what is gathered lands as it was. (How COPY behaves: test_build.py.)"""

from __future__ import annotations

import io
import os
from pathlib import Path

from labrt.building.copies import Copy, gather, place
from labrt.building.packing import Packer


def copied(source: Path, wanted: Copy) -> None:
    stream = io.BytesIO()
    packer = Packer(stream, 10**9)
    single = gather(str(source), wanted, packer)
    packer.close()
    place(stream, wanted, single)


def test_attributes_modes_links_and_times_are_kept(tmp_path: Path) -> None:
    source, target = tmp_path / "source", tmp_path / "target"
    (source / "d").mkdir(parents=True)
    file = source / "d" / "file"
    file.write_text("x")
    file.chmod(0o6750)
    os.setxattr(file, "user.note", b"\x00\xff")
    os.utime(file, (5, 5))
    (source / "d" / "same").hardlink_to(file)
    copied(source, Copy(("/d",), f"{target}/"))
    found = (target / "file").stat()
    assert (found.st_mode & 0o7777, found.st_mtime) == (0o6750, 5)
    assert os.getxattr(target / "file", "user.note") == b"\x00\xff"
    assert (target / "same").samefile(target / "file")


def test_a_name_that_is_no_text(tmp_path: Path) -> None:
    name = os.fsdecode(b"\xff")
    (tmp_path / "source").mkdir()
    (tmp_path / "source" / name).write_text("x")
    copied(tmp_path / "source", Copy((name,), f"{tmp_path}/"))
    assert (tmp_path / name).read_text() == "x"


def test_folders_on_the_way_are_open_to_all_whatever_the_umask(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    before = os.umask(0o077)
    try:
        copied(tmp_path, Copy(("file",), f"{tmp_path}/a/b/file"))
    finally:
        os.umask(before)
    assert [(tmp_path / path).stat().st_mode & 0o777 for path in ("a", "a/b")] == [0o755] * 2
