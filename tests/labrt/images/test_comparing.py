"""labrt/images/comparing.py: the files that two images haven't in common, and their layers."""

from __future__ import annotations

from pathlib import Path

import pytest

from labrt.errors import LabError
from labrt.images import store
from labrt.images.comparing import Change, compare
from labrt.images.store import Image
from tests.labrt.images import made

BASE = {"bin": None, "bin/sh": b"shell", "etc/passwd": b"root", "etc/group": b"root", "var/a": b"a"}


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LAB_HOME", str(tmp_path))


@pytest.fixture
def before() -> Image:
    return made.image("before", BASE)


def test_an_image_does_not_differ_from_itself(before: Image) -> None:
    found = compare(before, before)
    assert (found.changes, found.only_before, found.only_after) == ([], [], [])
    assert found.shared == list(before.layers)


def test_files_added_changed_and_deleted_with_their_bytes(before: Image) -> None:
    layer = {"etc/passwd": b"root and more", "etc/.wh.group": b"", "new": b"12345"}
    found = compare(before, after := made.image("after", BASE, layer))
    assert found.changes == [
        Change("D", "etc/group", 4, 0),
        Change("C", "etc/passwd", 4, 13),
        Change("A", "new", 0, 5),
    ]
    assert (found.shared, found.only_before) == (list(before.layers), [])
    assert found.only_after == [after.layers[1]]
    assert [change.kind for change in compare(after, before).changes] == ["A", "C", "D"]


def test_the_same_files_in_other_layers_are_the_same(before: Image) -> None:
    first, second = dict(list(BASE.items())[:3]), dict(list(BASE.items())[3:])
    found = compare(before, made.image("after", first, second))
    assert found.changes == []
    assert (len(found.shared), len(found.only_before), len(found.only_after)) == (0, 1, 2)


def test_an_opaque_folder_hides_what_lies_below_it(before: Image) -> None:
    found = compare(before, made.image("after", BASE, {"etc/.wh..wh..opq": b"", "etc/x": b"x"}))
    kinds = {change.path: change.kind for change in found.changes}
    assert kinds == {"etc/group": "D", "etc/passwd": "D", "etc/x": "A"}


def test_a_folder_that_is_taken_away_takes_all_in_it(before: Image) -> None:
    found = compare(before, made.image("after", BASE, {".wh.etc": b""}))
    assert {change.path for change in found.changes} == {"etc", "etc/group", "etc/passwd"}


def test_a_file_rewritten_with_the_same_bytes_is_the_same(before: Image) -> None:
    found = compare(before, made.image("after", BASE, {"bin/sh": b"shell"}))
    assert found.changes == []
    assert len(found.only_after) == 1


def test_a_damaged_layer_is_told(before: Image) -> None:
    other = made.image("other", {"a": b"a"})
    store.blob_path(other.layers[0].digest).write_bytes(b"damaged")
    with pytest.raises(LabError):
        compare(before, other)
