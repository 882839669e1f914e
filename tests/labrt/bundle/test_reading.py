"""config.json is read with distrust: what is no value is refused by its place."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest

from labrt.bundle import reading
from labrt.bundle.reading import MAX_BYTES, U32, Value
from labrt.errors import LabError


def value(data: Any) -> Value:
    return Value("", data)


def read(folder: Path, text: str | bytes) -> Value:
    file = folder / "config.json"
    file.write_bytes(text if isinstance(text, bytes) else text.encode())
    return reading.config(folder)


def test_a_value_knows_its_place() -> None:
    with pytest.raises(LabError, match=r"read process\.rlimits\[1\]\.soft: not a whole number"):
        told = value({"process": {"rlimits": [{}, {"soft": "many"}]}})
        list(told["process"]["rlimits"])[1]["soft"].number()


def test_what_is_absent_is_empty_all_the_way_down() -> None:
    absent = value({})["linux"]["resources"]["memory"]
    assert not absent
    assert list(absent) == []
    assert absent["limit"].number(7) == 7
    assert absent.texts() == ()


def test_null_is_absent() -> None:
    assert value({"args": None})["args"].texts() == ()


@pytest.mark.parametrize("data", [True, 1.0, "1", [1], {}, None])
def test_a_whole_number_is_nothing_else(data: Any) -> None:
    with pytest.raises(LabError, match="whole number|missing"):
        value({"n": data})["n"].number()


@pytest.mark.parametrize("number", [-1, U32 + 1, 10**300])
def test_a_number_has_bounds(number: int) -> None:
    with pytest.raises(LabError, match="is not within 0 and"):
        value({"n": number})["n"].number()


@pytest.mark.parametrize(("text", "why"), [("a\0b", "NUL"), ("\ud800", "half a character")])
def test_a_text_that_no_kernel_takes(text: str, why: str) -> None:
    with pytest.raises(LabError, match=why):
        value({"t": text})["t"].text()


@pytest.mark.parametrize("data", [1, [], {}])
def test_a_text_is_nothing_else(data: Any) -> None:
    with pytest.raises(LabError, match="not a string"):
        value({"t": data})["t"].text()


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", "no JSON"),
        ("[]", "no JSON object"),
        ("{", "no JSON"),
        (b"\xff\xfe{", "no JSON"),
        ('{"a": ' * 100_000, "no JSON"),
        ("[" * 1_000_000, "no JSON"),
        ('{"a": "' + "x" * MAX_BYTES + '"}', "more than"),
        ('{"a": ' + "9" * 5000 + "}", "no JSON"),
    ],
    ids=["empty", "list", "half", "no-utf8", "deep", "deeper", "huge", "huge-number"],
)
def test_what_is_no_config(tmp_path: Path, text: str | bytes, why: str) -> None:
    with pytest.raises(LabError, match=why):
        read(tmp_path, text)


def test_a_config_that_is_no_plain_file(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "config.json")
    with pytest.raises(LabError, match="not a plain file"):
        reading.config(tmp_path)


def test_a_config_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(LabError, match="ENOENT"):
        reading.config(tmp_path)


def test_the_last_of_two_fields_of_one_name_holds(tmp_path: Path) -> None:
    assert read(tmp_path, '{"a": 1, "a": 2}')["a"].number() == 2


def test_refusing_is_of_what_says_something() -> None:
    for nothing in (None, {}, [], "", 0, False):
        value({"intelRdt": nothing})["intelRdt"].refuse("no")
    with pytest.raises(LabError, match="do what intelRdt asks for: no"):
        value(json.loads('{"intelRdt": {"closID": "x"}}'))["intelRdt"].refuse("no")
