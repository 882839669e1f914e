"""labrt/images/layers.py: unpacking is hostile-input code."""

from __future__ import annotations

import gzip
import hashlib
import io
import os
import tarfile
from pathlib import Path

import pytest

from labrt.errors import LabError
from labrt.images import layers, making, store
from labrt.images.making import Layer
from labrt.images.store import Descriptor, Image
from labrt.users import ROOT_ID_BASE
from tests.labrt.conftest import needs_root


@pytest.fixture(autouse=True)
def empty_store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LAB_HOME", str(tmp_path / "home"))


def entry(name: str, kind: bytes = tarfile.REGTYPE, link: str = "") -> tarfile.TarInfo:
    member = tarfile.TarInfo(name)
    member.type, member.linkname, member.mode = kind, link, 0o755
    return member


def image(*members: tarfile.TarInfo, damage: bytes = b"") -> Image:
    """An image with one layer of these members, put into the store."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        for member in members:
            archive.addfile(member)
    diff_id = "sha256:" + hashlib.sha256(buffer.getvalue()).hexdigest()
    blob = store.put(gzip.compress(buffer.getvalue() + damage))
    size = store.blob_path(blob).stat().st_size
    layer = Layer(Descriptor(store.LAYER_GZIP, blob, size), diff_id)
    return making.image("it", [layer], {"config": {}})


def leftovers(tmp_path: Path) -> list[str]:
    folder = tmp_path / "home" / "layers"
    return [path.name for path in folder.iterdir()] if folder.exists() else []


def test_files_folders_and_links_are_unpacked_once() -> None:
    made = image(
        entry("bin", tarfile.DIRTYPE),
        entry("bin/program"),
        entry("bin/alias", tarfile.SYMTYPE, "/bin/program"),
        entry("bin/other", tarfile.LNKTYPE, "bin/program"),
    )
    (folder,) = layers.unpacked(made)
    assert (folder / "bin" / "alias").readlink() == Path("/bin/program")
    assert (folder / "bin" / "program").samefile(folder / "bin" / "other")
    before = folder.stat().st_ctime_ns
    assert layers.unpacked(made) == [folder]
    assert folder.stat().st_ctime_ns == before


@needs_root
def test_files_belong_to_whom_the_archive_names_as_containers_see_it() -> None:
    theirs, other = entry("theirs"), entry("other", tarfile.LNKTYPE, "theirs")
    theirs.uid, theirs.gid, theirs.mode = 7, 8, 0o4711
    other.mode = theirs.mode
    (folder,) = layers.unpacked(image(entry("a/b"), theirs, other))
    found = {name: os.lstat(folder / name) for name in ("a", "a/b", "theirs", "other")}
    owners = {name: (f.st_uid - ROOT_ID_BASE, f.st_gid - ROOT_ID_BASE) for name, f in found.items()}
    assert owners == {"a": (0, 0), "a/b": (0, 0), "theirs": (7, 8), "other": (7, 8)}
    assert found["theirs"].st_mode & 0o7777 == 0o4711


@needs_root
def test_an_owner_that_containers_do_not_map_is_refused(tmp_path: Path) -> None:
    theirs = entry("theirs")
    theirs.uid = 65536
    with pytest.raises(LabError, match="owned by 65536; containers have 65536 ids"):
        layers.unpacked(image(theirs))
    assert leftovers(tmp_path) == []


HOSTILE = {
    "absolute path": [entry("/etc/passwd")],
    "parent": [entry("../outside")],
    "parent inside": [entry("a/../../outside")],
    "through a link": [entry("a", tarfile.SYMTYPE, "/tmp"), entry("a/file")],
    "folder over a link": [entry("a", tarfile.SYMTYPE, "/tmp"), entry("a", tarfile.DIRTYPE)],
    "file over a link": [entry("a", tarfile.SYMTYPE, "/tmp/b"), entry("a")],
    "hard link out": [entry("a", tarfile.LNKTYPE, "/etc/passwd")],
    "hard link to parent": [entry("a", tarfile.LNKTYPE, "../../index.json")],
    "hard link through a link": [
        entry("a", tarfile.SYMTYPE, "/etc"),
        entry("b", tarfile.LNKTYPE, "a/passwd"),
    ],
    "the same file twice": [entry("a"), entry("a")],
    "a device": [entry("sda", tarfile.BLKTYPE)],
}


@pytest.mark.parametrize("members", HOSTILE.values(), ids=HOSTILE.keys())
def test_a_hostile_archive_is_refused_and_leaves_nothing(
    members: list[tarfile.TarInfo], tmp_path: Path
) -> None:
    with pytest.raises(LabError, match="unpack"):
        layers.unpacked(image(*members))
    assert leftovers(tmp_path) == []
    assert not (tmp_path / "outside").exists()


def test_a_layer_that_is_not_what_the_config_says_is_refused(tmp_path: Path) -> None:
    with pytest.raises(LabError, match="its contents aren't sha256:"):
        layers.unpacked(image(entry("a"), damage=b"more"))
    assert leftovers(tmp_path) == []


def test_a_truncated_layer_is_refused(tmp_path: Path) -> None:
    made = image(entry("a"))
    path = store.blob_path(made.layers[0].digest)
    path.write_bytes(path.read_bytes()[:-5])
    with pytest.raises(LabError, match="it has .* bytes; the manifest says"):
        layers.unpacked(made)
    assert leftovers(tmp_path) == []
