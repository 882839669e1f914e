"""labrt/images/flattening.py: an image's layers as one tree, as overlayfs would show them."""

from __future__ import annotations

import io
import os
import subprocess
import tarfile
import tracemalloc
from pathlib import Path

import pytest

from labrt.errors import LabError
from labrt.images import flattening, making, store
from labrt.images.making import Layer
from labrt.images.store import Image

FILE, FOLDER, LINK, HARD = tarfile.REGTYPE, tarfile.DIRTYPE, tarfile.SYMTYPE, tarfile.LNKTYPE


@pytest.fixture(autouse=True)
def empty_store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LAB_HOME", str(tmp_path / "home"))


def entry(
    name: str, kind: bytes = FILE, link: str = "", data: bytes = b""
) -> tuple[tarfile.TarInfo, bytes]:
    member = tarfile.TarInfo(name)
    member.type, member.linkname, member.mode, member.size = kind, link, 0o755, len(data)
    return member, data


def layer(*members: tuple[tarfile.TarInfo, bytes], media_type: str = store.LAYER_GZIP) -> Layer:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.PAX_FORMAT) as archive:
        for member, data in members:
            archive.addfile(member, io.BytesIO(data))
    return making.layer(lambda stream: stream.write(buffer.getvalue()), media_type)


def image(*layers: Layer) -> Image:
    return making.image("it", layers, {"config": {}})


def tree(flat: Image) -> dict[str, bytes | str]:
    """Name → a file's contents, "/" for a folder, "-> target" for a link, "= name" a hard one."""
    found: dict[str, bytes | str] = {}
    for member, contents in flattening.members(flat):
        assert member.name not in found, "each once"
        if contents:
            found[member.name] = contents.read()
        elif member.islnk():
            assert member.linkname in found, "what it links to comes first"
            found[member.name] = f"= {member.linkname}"
        else:
            found[member.name] = "/" if member.isdir() else f"-> {member.linkname}"
    return found


def test_an_upper_file_hides_a_lower_one_and_whiteouts_remove() -> None:
    lower = layer(
        entry("etc", FOLDER),
        entry("etc/kept", data=b"kept"),
        entry("etc/changed", data=b"old"),
        entry("etc/gone", data=b"old"),
        entry("tree/deep/gone"),
    )
    upper = layer(entry("etc/changed", data=b"new"), entry("etc/.wh.gone"), entry(".wh.tree"))
    assert tree(image(lower, upper)) == {"etc": "/", "etc/kept": b"kept", "etc/changed": b"new"}


def test_an_opaque_folder_hides_what_is_below_it_but_not_beside_or_above() -> None:
    lower = layer(entry("d/below/x"), entry("d/new", data=b"old"), entry("beside"))
    upper = layer(entry("d/new", data=b"new"), entry("d/.wh..wh..opq"))
    assert tree(image(lower, upper)) == {"d": "/", "d/new": b"new", "beside": b""}


def test_a_whiteout_is_about_lower_layers_and_not_its_own() -> None:
    lower = layer(entry("d/old"))
    upper = layer(entry("d/new"), entry(".wh.d"), entry("d", FOLDER))
    assert tree(image(lower, upper)) == {"d": "/", "d/new": b""}


def test_a_file_hides_a_lower_folder_also_where_a_folder_comes_back() -> None:
    lower, middle, upper = layer(entry("d/x")), layer(entry("d")), layer(entry("d", FOLDER))
    assert tree(image(lower, middle)) == {"d": b""}
    assert tree(image(lower, middle, upper)) == {"d": "/"}


def test_an_upper_folder_hides_a_lower_link_to_a_folder() -> None:
    lower = layer(entry("bin", LINK, "usr/bin"))
    assert tree(image(lower, layer(entry("bin/x")))) == {"bin": "/", "bin/x": b""}


def test_folders_keep_what_the_uppermost_layer_that_describes_them_says() -> None:
    lower, upper = entry("d", FOLDER), entry("d", FOLDER)
    lower[0].mode, upper[0].mode = 0o700, 0o1777
    (found,) = flattening.members(image(layer(lower), layer(upper), layer(entry(".wh.none"))))
    assert found[0].mode == 0o1777
    described = dict(
        (member.name, member.mode)
        for member, _ in flattening.members(image(layer(lower), layer(entry("d/x"))))
    )
    assert described["d"] == 0o700


def test_hard_links_stay_links_and_survive_the_name_they_link_to() -> None:
    lower = layer(
        entry("a", data=b"shared"), entry("b", HARD, "a"), entry("c", HARD, "b"), entry("d")
    )
    assert tree(image(lower)) == {"a": b"shared", "b": "= a", "c": "= a", "d": b""}
    upper = layer(entry("a", data=b"own"))
    expected = {"a": b"own", "d": b"", "b": b"shared", "c": "= b"}
    assert tree(image(lower, upper)) == expected


def test_owners_modes_times_and_xattrs_are_kept_and_device_nodes_left_out() -> None:
    member, data = entry("sub/ping", data=b"program")
    member.mode, member.uid, member.gid, member.mtime = 0o4750, 5, 1 << 30, 1_600_000_000.7
    member.pax_headers = {
        "SCHILY.xattr.security.capability": "\1\0\0\2\udcff",
        "SCHILY.xattr.trusted.overlay.redirect": "/etc",
        "comment": "whoever packed it",
    }
    member.uname = "somebody"
    null, tty = entry("dev/null", tarfile.CHRTYPE), entry("dev/tty", HARD, "dev/null")
    made = image(layer(null, tty), layer((member, data)))
    found = {member.name: member for member, _ in flattening.members(made)}
    assert set(found) == {"sub/ping", "sub"}
    ping = found["sub/ping"]
    assert (ping.mode, ping.uid, ping.gid, ping.mtime) == (0o4750, 5, 1 << 30, 1_600_000_000)
    assert ping.pax_headers == {"SCHILY.xattr.security.capability": "\1\0\0\2\udcff"}
    assert ping.uname == ""


def test_the_archive_is_what_tar_reads_and_always_the_same(tmp_path: Path) -> None:
    member, data = entry("file", data=b"x" * 1000)
    member.mode, member.uid, member.mtime = 0o4750, 5, 1_600_000_000.7
    made = image(layer(entry("d", FOLDER), entry("d/" + "long" * 50), (member, data)))
    archives = []
    for _ in range(2):
        buffer = io.BytesIO()
        flattening.write(flattening.members(made), buffer)
        archives.append(buffer.getvalue())
    assert archives[0] == archives[1]
    (tmp_path / "out").mkdir()
    subprocess.run(
        ["tar", "-x", "--same-permissions", "-C", tmp_path / "out"], input=archives[0], check=True
    )
    found = os.stat(tmp_path / "out" / "file")
    assert (found.st_mode & 0o7777, found.st_size, int(found.st_mtime)) == (
        0o4750 if os.geteuid() == 0 else 0o750,
        1000,
        1_600_000_000,
    )
    assert (tmp_path / "out" / "d" / ("long" * 50)).exists()


@pytest.mark.parametrize("media_type", [store.LAYER_TAR, store.LAYER_GZIP, store.LAYER_ZSTD])
def test_layers_come_in_any_compression(media_type: str) -> None:
    assert tree(image(layer(entry("a", data=b"x"), media_type=media_type))) == {"a": b"x"}


def test_no_file_is_held_in_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LAB_LAYER_RATIO", "2000")  # it is all zeros
    size = 64 << 20
    made = image(layer(entry("large", data=bytes(size)), entry("small")))
    tracemalloc.start()
    with open(os.devnull, "wb") as nowhere:
        flattening.write(flattening.members(made), nowhere)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < size / 4


@pytest.mark.parametrize(
    ("members", "answer"),
    [
        ([entry("../out")], "leaves the image"),
        ([entry("/etc/passwd")], "leaves the image"),
        ([entry("a/../../out")], "leaves the image"),
        ([entry("a", LINK, "/etc"), entry("a/passwd")], "'a' on the way to it is no folder"),
        ([entry("a"), entry("a")], "twice"),
        ([entry("a", FOLDER), entry("a")], "twice"),
        ([entry("a", HARD, "nowhere")], "nowhere"),
        ([entry("a", HARD, "../out")], "leaves the image"),
        ([entry("n" * 256)], "no file can have this name"),
    ],
)
def test_a_hostile_layer_is_refused(
    members: list[tuple[tarfile.TarInfo, bytes]], answer: str
) -> None:
    with pytest.raises(LabError, match=answer):
        tree(image(layer(*members)))


def test_a_size_that_leads_back_is_refused_and_not_followed_for_ever() -> None:
    member, _ = entry("a")
    header = bytearray(member.tobuf(tarfile.GNU_FORMAT))
    header[124:136] = b"\xff" * 11 + b"\x00"  # -256 in GNU's base 256
    header[148:156] = b" " * 8
    header[148:156] = b"%06o\0 " % sum(header)
    data = bytes(header) * 3 + bytes(1024)
    made = image(making.layer(lambda stream: stream.write(data)))
    with pytest.raises(LabError, match="read the layer|twice"):
        tree(made)


def raw(*blocks: bytes) -> Image:
    """An image whose only layer is made of these bytes."""
    return image(making.layer(lambda stream: stream.write(b"".join(blocks))))


@pytest.mark.parametrize("kind", [tarfile.XHDTYPE, tarfile.GNUTYPE_LONGNAME])
def test_an_extended_header_without_end_is_not_kept_in_memory(kind: bytes) -> None:
    header, _ = entry("x", kind)
    header.size = 64 << 20
    made = raw(header.tobuf(tarfile.GNU_FORMAT), bytes(header.size))
    tracemalloc.start()
    with pytest.raises(LabError, match="extended header"):
        tree(made)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < header.size / 4


def test_a_chain_of_extended_headers_is_refused() -> None:
    header, _ = entry("x", tarfile.XHDTYPE)
    with pytest.raises(LabError, match="damaged"):
        tree(raw(header.tobuf(tarfile.GNU_FORMAT) * 5000))


def test_a_sparse_file_is_refused_for_it_may_be_of_any_size() -> None:
    member, _ = entry("large")
    member.pax_headers = {"GNU.sparse.size": str(1 << 62), "GNU.sparse.numblocks": "0"}
    with pytest.raises(LabError, match="sparse"):
        tree(raw(member.tobuf(tarfile.PAX_FORMAT), bytes(1024)))


@pytest.mark.parametrize("media_type", [store.LAYER_GZIP, store.LAYER_ZSTD])
@pytest.mark.parametrize("cut", [0.2, 0.9])
def test_a_damaged_blob_is_refused(cut: float, media_type: str) -> None:
    made = image(layer(entry("a", data=os.urandom(200_000)), media_type=media_type))
    blob = store.blob_path(made.layers[0].digest)
    blob.chmod(0o644)
    data = bytearray(blob.read_bytes())
    data[int(len(data) * cut)] ^= 0xFF
    blob.write_bytes(data)
    with pytest.raises(LabError):
        tree(made)
    blob.write_bytes(data[: int(len(data) * cut)])
    with pytest.raises(LabError):
        tree(made)


def test_a_bomb_is_refused() -> None:
    made = image(layer(entry("zeros", data=bytes(66 << 20))))
    with pytest.raises(LabError, match="200 times as many bytes"):
        tree(made)


def test_contents_that_are_not_what_the_configuration_names_are_refused() -> None:
    true, false = layer(entry("a")), layer(entry("b"))
    with pytest.raises(LabError, match="its contents aren't"):
        tree(image(Layer(true.blob, false.diff_id)))
