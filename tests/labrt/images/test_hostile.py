"""Hostile layers, manifests and indexes: each is refused by name, and nothing of it is left."""

from __future__ import annotations

import os
import re
from pathlib import Path

import pytest

from labrt import paths
from labrt.errors import LabError
from labrt.images import layers, store
from labrt.images.store import Image
from tests.labrt.conftest import needs_root
from tests.labrt.images import archives, hostile
from tests.labrt.images.archives import Blob, member
from tests.labrt.test_rootless import needs_uidmap, user


@pytest.fixture(autouse=True)
def empty_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LAB_HOME", str(tmp_path / "home"))


def left(outside: Path) -> list[str]:
    """What an attack has left: unpacked layers, and files beside LAB_HOME."""
    found = [*(paths.home() / "layers").glob("*"), *outside.glob("outside*")]
    return [str(path) for path in found]


def refusal(made: Image) -> str:
    """What is said when the image's layers are unpacked; "" for nothing."""
    try:
        layers.unpacked(made)
    except LabError as error:
        return str(error)
    return ""


@pytest.mark.parametrize("name", hostile.LAYERS)
def test_a_hostile_layer_is_refused_by_name_and_leaves_nothing(name: str, tmp_path: Path) -> None:
    _, says = hostile.LAYERS[name]
    said = refusal(archives.image(hostile.made(name)))
    assert says in said
    assert re.search(r"(unpack|read|decompress) .*sha256:|read a layer of the type", said), said
    assert "\n" not in said
    assert left(tmp_path) == []


def load(make: object) -> Image:
    """Load what a case of the corpus makes."""
    assert callable(make)
    made = make()
    manifest, config = made if isinstance(made, tuple) else (made, hostile.config())
    store.put(config)
    store.put(hostile.config(rootfs={"diff_ids": [archives.digest_of(hostile.GOOD)]}))
    return store.load("it", store.put(manifest))


@pytest.mark.parametrize("name", hostile.MANIFESTS)
def test_a_hostile_manifest_is_refused_by_name(name: str, tmp_path: Path) -> None:
    make, says = hostile.MANIFESTS[name]
    with pytest.raises(LabError, match=re.escape(says)) as refused:
        load(make)
    assert "\n" not in str(refused.value)
    assert left(tmp_path) == []


@pytest.mark.parametrize("name", hostile.INDEXES)
def test_a_hostile_index_is_refused_by_name(name: str) -> None:
    data, says = hostile.INDEXES[name]
    store.folder().mkdir(parents=True)
    (store.folder() / "index.json").write_bytes(data)
    with pytest.raises(LabError, match=re.escape(says)):
        store.resolve("it")


def test_the_corpus_would_pass_if_it_were_harmless() -> None:
    """What the attacks are made of is accepted, so each is refused for its own reason."""
    assert load(hostile.manifest).layers == ()
    assert len(load(hostile._layered).layers) == 1
    (folder,) = layers.unpacked(archives.image(Blob(hostile.GOOD)))
    assert (folder / "good").read_bytes() == b"good"


ALL = """
import sys
from pathlib import Path
from tests.labrt.images import archives, hostile
from tests.labrt.images.test_hostile import left, refusal
home, step = Path(sys.argv[1]), int(sys.argv[2])
for name, (_, says) in list(hostile.LAYERS.items())[::step]:
    said = refusal(archives.image(hostile.made(name)))
    if says not in said or "\\n" in said or left(home):
        print(name, "->", said or "accepted", left(home))
print("done")
"""


@needs_root  # to become another user
@needs_uidmap
@pytest.mark.parametrize("step", [6, pytest.param(1, marks=pytest.mark.slow)])
def test_a_normal_user_refuses_the_same(step: int) -> None:
    with user("nobody:1000000000:65536\n") as someone:
        done = someone.python("-c", ALL, str(someone.folder), str(step), timeout=110)
        assert (done.stdout, done.stderr) == ("done\n", "")


@pytest.mark.parametrize(
    ("name", "value", "layer", "says"),
    [
        ("LAB_LAYER_MEMBERS", "2", b"".join(map(member, (b"a", b"b", b"c"))), "than 2 members"),
        ("LAB_LAYER_BYTES", "4096", member(b"a", data=bytes(4096)), "than 4096 bytes"),
        ("LAB_LAYER_BYTES", "4096", b"".join(map(member, map(str.encode, "abcdefgh"))), "4096 by"),
        ("LAB_LAYER_RATIO", "9", member(b"a", data=b"ab" * (33 << 20)), "9 times as many bytes"),
    ],
)
def test_a_limit_can_be_set_and_its_name_is_told(
    name: str, value: str, layer: bytes, says: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(name, value)
    said = refusal(archives.image(layer))
    assert says in said and said.endswith(f"if you trust it, raise {name}")
    assert left(tmp_path) == []


def test_a_raised_limit_lets_a_trusted_layer_in(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LAB_LAYER_RATIO", "2000")
    made = archives.image(hostile.made("zeros by the million"))
    (folder,) = layers.unpacked(made)
    assert (folder / "a").stat().st_size == 66 << 20


@pytest.mark.parametrize("value", ["much", "-1", "1e9", "9" * 30])
def test_a_limit_that_is_no_number_is_told(value: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LAB_LAYER_BYTES", value)
    assert refusal(archives.image(member(b"a"))).startswith("read LAB_LAYER_BYTES")


def test_a_link_of_an_earlier_layer_leads_nowhere(tmp_path: Path) -> None:
    lower = archives.link(b"a", os.fsencode(tmp_path))
    folders = layers.unpacked(archives.image(lower, member(b"a/outside")))
    assert sorted(left(tmp_path)) == sorted(map(str, folders))
    assert (folders[1] / "a" / "outside").exists()


def test_a_name_cannot_write_to_the_terminal() -> None:
    said = refusal(archives.image(member("/\x1b[2J\u202e".encode() + b"\xff")))
    assert r"unpack /\x1b[2J\u202e\xff of" in said
