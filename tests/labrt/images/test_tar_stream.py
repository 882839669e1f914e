"""labrt/images/tar_stream.py: what tar(1) and Python's tarfile write is read as they mean it."""

from __future__ import annotations

import io
import os
import subprocess
import tarfile
from pathlib import Path

import pytest

from labrt.images.tar_stream import Member, TarStream
from tests.labrt.images.archives import END, base256, folder, long_name, member, pax


def read(archive: bytes) -> list[tuple[Member, bytes]]:
    stream = TarStream(io.BytesIO(archive))
    return [(each, b"".join(stream.data(each))) for each in stream.members()]


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    top = tmp_path / "tree"
    deep = top / ("d" * 60) / ("e" * 60)
    deep.mkdir(parents=True)
    (deep / "short").write_bytes(b"x" * 1000)
    (deep / ("f" * 60)).write_bytes(b"")
    (deep / "link").symlink_to("t" * 120)
    os.link(deep / "short", deep / "zz")
    os.mkfifo(top / "pipe")
    (top / "setuid").write_bytes(b"y" * 512)
    (top / "setuid").chmod(0o4751)
    os.utime(top / "setuid", (-1.5, -1.5))
    return top


@pytest.mark.parametrize("form", ["pax", "gnu", "oldgnu", "ustar"])
def test_the_forms_of_gnu_tar(tree: Path, form: str) -> None:
    if form == "ustar":  # which can say neither negative times nor long links
        os.utime(tree / "setuid", (0, 0))
        (tree / ("d" * 60) / ("e" * 60) / "zz").unlink()
        (tree / ("d" * 60) / ("e" * 60) / "link").unlink()
    done = subprocess.run(
        ["tar", "-C", tree, f"--format={form}", "--sort=name", "-c", "."],
        capture_output=True,
        check=True,
    )
    found = {each.name.rstrip(b"/"): (each, data) for each, data in read(done.stdout)}
    with tarfile.open(fileobj=io.BytesIO(done.stdout)) as archive:
        for theirs in archive:
            ours, data = found.pop(os.fsencode(theirs.name))
            assert (ours.mode, ours.uid, ours.gid) == (theirs.mode, theirs.uid, theirs.gid)
            assert (ours.kind, ours.link) == (theirs.type, os.fsencode(theirs.linkname))
            assert abs(ours.mtime - theirs.mtime * 1e9) < 1000
            assert data == (archive.extractfile(theirs).read() if theirs.isfile() else b"")  # type: ignore[union-attr]
    assert found == {}


def test_times_are_kept_to_the_nanosecond() -> None:
    ((found, _),) = read(pax({b"mtime": b"-1.000000001"}) + member(b"a") + END)
    assert found.mtime == -1_000_000_001


@pytest.mark.parametrize(
    ("field", "number"),
    [
        (b"0000017", 15),
        (b" 17 \0\0\0\0", 15),
        (b"00000017", 15),
        (b"", 0),
        (base256(1 << 30, 8), 1 << 30),
    ],
)
def test_numbers(field: bytes, number: int) -> None:
    ((found, _),) = read(member(b"a", uid=field) + END)
    assert found.uid == number


def test_extended_headers_are_for_the_next_member_alone() -> None:
    first = pax({b"path": b"long", b"uid": b"7", b"SCHILY.xattr.user.a": b"=\n"})
    found = [each for each, _ in read(first + member(b"a") + member(b"b") + END)]
    assert [each.name for each in found] == [b"long", b"b"]
    assert [each.uid for each in found] == [7, 0]
    assert [each.xattrs for each in found] == [{b"user.a": b"=\n"}, {}]


def test_a_comment_may_be_global() -> None:
    """git archive writes the commit there."""
    ((found, _),) = read(pax({b"comment": b"0" * 40}, b"g") + member(b"a") + END)
    assert found.name == b"a"


def test_what_is_not_read_is_passed_over() -> None:
    archive = member(b"a", data=b"x" * 1025) + member(b"b", data=b"y") + END
    stream = TarStream(io.BytesIO(archive))
    assert [each.name for each in stream.members()] == [b"a", b"b"]


def test_a_name_with_a_slash_at_its_end_is_a_folder() -> None:
    """So it was before there was a kind for folders."""
    assert [each.kind for each, _ in read(member(b"a/", b"\0") + folder(b"b") + END)] == [b"5"] * 2


def test_a_chain_of_extended_headers_needs_no_stack() -> None:
    ((found, _),) = read(long_name(b"b") * 5000 + member(b"a") + END)
    assert found.name == b"b"
