"""labrt/images/naming.py: images by name and by digest; what containers use isn't removed."""

from __future__ import annotations

import json
from collections.abc import Iterator
from itertools import count
from pathlib import Path

import pytest

from labrt import container, removal
from labrt.declare import declare
from labrt.errors import LabError
from labrt.images import naming, store
from labrt.images.store import Image
from labrt.spec import Spec
from tests.labrt.images import made


@pytest.fixture(autouse=True)
def one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Image:
    monkeypatch.setenv("LAB_HOME", str(tmp_path / "home"))
    return made.image("one", {"file": b"1"}, config={"Cmd": ["/file"]})


@pytest.fixture
def used(one: Image) -> Iterator[Spec]:
    """A container of it, which doesn't run."""
    spec = declare(one, detach=True)
    container.create(spec)
    yield spec
    removal.remove(Path(spec.state_dir))


@pytest.mark.parametrize("name", ["../x", "a b", "a\x1b[31m", "-a", "a//b", "a:", "a" * 256, "Up"])
def test_what_is_no_name_is_refused(one: Image, name: str) -> None:
    with pytest.raises(LabError, match="image name"):
        naming.tag("one", name)
    assert store.names() == ["one"]


def test_an_image_is_found_by_name_and_by_its_digest(one: Image) -> None:
    hexadecimal = one.digest.removeprefix("sha256:")
    for wanted in ("one", "one:latest", one.digest, hexadecimal[:4]):
        assert store.resolve(wanted).digest == one.digest


def test_three_digits_are_too_few(one: Image) -> None:
    with pytest.raises(LabError, match="no such image in the store"):
        store.resolve(one.digest[7:10])


def test_a_beginning_that_several_digests_have_is_refused(one: Image) -> None:
    begun: dict[str, str] = {}
    for number in count():  # among a few hundred digests two begin with the same four digits
        manifest = {"config": {"digest": store.put(b"{}")}, "layers": [], "number": number}
        digest = store.put(json.dumps(manifest).encode())
        if (other := begun.setdefault(digest[:11], digest)) != digest:
            break
    store.tag("", digest)
    store.tag("", other)
    with pytest.raises(LabError, match="several digests begin like this"):
        store.resolve(digest[7:11])


@pytest.mark.parametrize(
    ("wanted", "said"),
    [
        ("nosuch", "no such image in the store"),
        ("sha256:" + "0" * 64, "no such image in the store"),
        ("sha256:", "read the image name"),
        ("", "read the image name"),
    ],
)
def test_an_unknown_image_is_told(wanted: str, said: str) -> None:
    with pytest.raises(LabError, match=said):
        store.resolve(wanted)


def test_a_name_is_removed_and_the_image_keeps_its_others(one: Image) -> None:
    naming.tag("one", "two:v1")
    assert naming.remove("one:latest") == ["one"]
    assert store.resolve("two:v1").digest == one.digest


def test_by_digest_all_names_go_but_only_by_force(one: Image) -> None:
    naming.tag("one", "two")
    with pytest.raises(LabError, match="several names: one, two"):
        naming.remove(one.digest)
    assert naming.remove(one.digest, force=True) == ["one", "two"]
    assert store.entries() == []


def test_what_a_container_uses_is_removed_only_by_force(one: Image, used: Spec) -> None:
    with pytest.raises(LabError, match=f"containers use it: {used.id}"):
        naming.remove("one")
    naming.tag("one", "two")
    assert naming.remove("one") == ["one"]  # the image still has a name
    assert naming.remove("two", force=True) == ["two"]


def test_a_damaged_image_can_be_removed(one: Image) -> None:
    store.blob_path(one.digest).write_bytes(b"{}")
    with pytest.raises(LabError, match="damaged"):
        store.resolve("one")
    assert naming.remove("one") == ["one"]
