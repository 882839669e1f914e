"""labrt import: a root file system's archive becomes an image; CMD and the like come with it."""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import tarfile
from collections.abc import Callable
from pathlib import Path

import pytest
import zstandard

from labrt.errors import LabError
from labrt.images import flattening, importing, store
from labrt.images.changing import change
from tests.labrt.images import made
from tests.labrt.images.test_interchange import home, in_store, link

__all__ = ["home"]
ROOT = made.archive({"bin": None, "bin/sh": b"#!", "etc/passwd": b"root:x:0:0\n"})


@pytest.fixture
def file(tmp_path: Path, home: Path) -> Path:
    return tmp_path / "root.tar"


@pytest.mark.parametrize(
    "compress", [bytes, gzip.compress, zstandard.ZstdCompressor().compress, lzma.compress]
)
def test_however_it_is_compressed_it_becomes_the_same_image(
    file: Path, compress: Callable[[bytes], bytes]
) -> None:
    file.write_bytes(ROOT)
    plain = importing.import_root(str(file), "plain")
    file.write_bytes(compress(ROOT))
    image = importing.import_root(str(file), "it")
    assert image.digest == plain.digest
    names = {member.name for member, _ in flattening.members(store.resolve("it"))}
    assert names == {"bin", "bin/sh", "etc", "etc/passwd"}


def test_without_a_name_it_is_found_by_its_digest(file: Path) -> None:
    file.write_bytes(ROOT)
    image = importing.import_root(str(file), "")
    assert store.entries() == [store.Entry("", image.digest)]


def test_changes_say_what_it_runs(file: Path) -> None:
    file.write_bytes(ROOT)
    changes = ['ENTRYPOINT ["/bin/sh"]', "ENV A=1 B='two words'", "WORKDIR /etc", "USER 7"]
    image = importing.import_root(str(file), "it", changes)
    assert (image.entrypoint, image.env) == (("/bin/sh",), ("A=1", "B=two words"))
    assert (image.working_dir, image.user) == ("/etc", "7")


@pytest.mark.parametrize(
    ("instruction", "settings"),
    [
        ('CMD ["a", "b c"]', {"Cmd": ["a", "b c"]}),
        ("cmd a b", {"Cmd": ["/bin/sh", "-c", "a b"]}),
        ("ENV A some words", {"Env": ["OLD=1", "A=some words"]}),
        ("ENV OLD=2 A=", {"Env": ["OLD=2", "A="]}),
        ("EXPOSE 80 53/udp", {"ExposedPorts": {"80/tcp": {}, "53/udp": {}}}),
        ('LABEL a="b c"', {"Labels": {"a": "b c"}}),
        ("STOPSIGNAL SIGINT", {"StopSignal": "SIGINT"}),
        ('VOLUME ["/a b"]', {"Volumes": {"/a b": {}}}),
        ("VOLUME /a /b", {"Volumes": {"/a": {}, "/b": {}}}),
    ],
)
def test_an_instruction(instruction: str, settings: dict[str, object]) -> None:
    found: dict[str, object] = {"Env": ["OLD=1"]}
    change(found, instruction)
    assert found == {"Env": ["OLD=1"], **settings}


@pytest.mark.parametrize(
    "instruction",
    ["", "RUN true", "CMD", "CMD [1]", "CMD [", "ENV", "ENV A", "ENV =1", 'ENV A="', "USER "],
)
def test_what_is_no_instruction_is_refused(instruction: str, file: Path) -> None:
    file.write_bytes(ROOT)
    with pytest.raises(LabError, match="change '"):
        importing.import_root(str(file), "it", [instruction])
    assert not store.folder().exists()


def hostile(member: tarfile.TarInfo) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        archive.addfile(member)
    return buffer.getvalue()


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b"no archive" * 99, "no tar archive"),
        (b"", "no tar archive"),
        (ROOT[:700], "its end is missing"),
        (gzip.compress(ROOT)[:-9], "damaged"),
        (zstandard.ZstdCompressor().compress(ROOT)[:-3], "damaged"),
        (lzma.compress(ROOT)[:-3], "damaged"),
        (bz2.compress(ROOT), "no tar archive"),
        (ROOT + b"more", "after its end"),
        (hostile(link("../x", "")), "leads out"),
        (hostile(link("/etc/passwd", "")), "leads out"),
    ],
)
def test_what_is_no_root_is_refused_and_leaves_nothing(data: bytes, said: str, file: Path) -> None:
    file.write_bytes(data)
    with pytest.raises(LabError, match=said):
        importing.import_root(str(file), "it")
    assert in_store() == []
