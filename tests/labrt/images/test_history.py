"""labrt/images/history.py: what made each layer, as far as it is told."""

from __future__ import annotations

from pathlib import Path

import pytest

from labrt.images import store
from labrt.images.history import Made, history
from labrt.images.store import Image
from tests.labrt.images import made


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LAB_HOME", str(tmp_path))


def told(*entries: dict[str, object]) -> Image:
    return made.image("it", {"a": b"a"}, {"b": b"b"}, history=list(entries))


def test_each_instruction_has_its_layer_but_those_that_changed_no_file() -> None:
    image = told(
        {"created_by": "COPY a", "created": "1970-01-01T00:00:00Z"},
        {"created_by": "CMD a", "empty_layer": True},
        {"created_by": "COPY b"},
    )
    lower, upper = image.layers
    assert history(image) == [
        Made("1970-01-01T00:00:00Z", "COPY a", lower.digest, lower.size),
        Made("", "CMD a", "", 0),
        Made("", "COPY b", upper.digest, upper.size),
    ]


def test_layers_that_are_not_told_of_are_there_all_the_same() -> None:
    image = told({"created_by": "COPY a"})
    silent = Image("it", image.digest, {}, image.layers)
    assert [each.digest for each in history(silent)] == [each.digest for each in image.layers]
    assert [each.created_by for each in history(image)] == ["COPY a", "labrt"]


def test_more_than_there_are_layers() -> None:
    image = told(*({"created_by": str(number)} for number in range(3)))
    assert [each.size > 0 for each in history(image)] == [True, True, False]


def test_an_image_of_the_lab_tells_of_every_layer() -> None:
    config = store.resolve(made.image("it", {"a": b"a"}, {"b": b"b"}).name).config
    assert len(config["history"]) == 2
