"""bench/observations.py: rows survive crashes, and what isn't whole is told, never guessed."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from bench import variants
from bench.observations import Log, Observation, Unwritable, read
from labrt.errors import LabError

Row = Callable[..., Observation]


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "observations.jsonl"


def write(file: Path, *rows: Observation) -> None:
    with Log(file) as log:
        for row in rows:
            log.append(row)


def test_what_is_appended_is_read_back(file: Path, row: Row) -> None:
    rows = [row(0.1), row(None, reason="it died"), row(0.3, sample=2, warmup=True)]
    write(file, *rows[:2])
    write(file, rows[2])
    assert read(file) == (rows, [])


def test_a_row_cut_short_costs_no_other_row(file: Path, row: Row) -> None:
    write(file, row(0.1), row(0.2))
    whole = file.read_bytes()
    for cut in range(whole.index(b"\n") + 2, len(whole)):
        file.write_bytes(whole[:cut])
        rows, damage = read(file)
        assert [each.value for each in rows] == [0.1]
        assert [each.line for each in damage] == [2]


def test_a_row_after_one_cut_short_is_not_glued_to_it(file: Path, row: Row) -> None:
    write(file, row(0.1), row(0.2))
    file.write_bytes(file.read_bytes()[:-20])
    write(file, row(0.3))
    rows, damage = read(file)
    assert [each.value for each in rows] == [0.1, 0.3]
    assert [each.line for each in damage] == [2]


def test_a_full_disk_is_one_line_that_names_the_remedy(row: Row) -> None:
    with Log(Path("/dev/full")) as log, pytest.raises(Unwritable) as caught:
        log.append(row())
    assert "ENOSPC" in str(caught.value)
    assert "--out" in caught.value.remedy
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "line",
    [
        b"{}\n",
        b"[1, 2]\n",
        b"null\n",
        b'"text"\n',
        b"\n",
        b"not json\n",
        b"\xff\xfe\x00\n",
        b'{"schema": 99}\n',
    ],
)
def test_a_line_that_is_no_row_is_left_out_and_told(file: Path, row: Row, line: bytes) -> None:
    write(file, row(0.1))
    file.write_bytes(line + file.read_bytes())
    rows, damage = read(file)
    assert [each.value for each in rows] == [0.1]
    assert damage[0].line == 1
    assert damage[0].reason


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("value", "fast"),
        ("value", True),
        ("value", None),
        ("subject", 7),
        ("sample", "first"),
        ("sample", None),
        ("at", "noon"),
        ("conditions", []),
        ("conditions", {"order": "first"}),
        ("conditions", {"attempt": True}),
        ("conditions", {"cpus": [1]}),
        ("conditions", {"host": {}}),
        ("conditions", {"warmup": 1}),
    ],
)
def test_a_row_with_a_wrong_type_is_no_row(file: Path, row: Row, key: str, value: object) -> None:
    write(file, row(0.1))
    data = json.loads(file.read_text())
    data[key] = value
    file.write_text(json.dumps(data) + "\n")
    rows, damage = read(file)
    assert rows == []
    assert len(damage) == 1


def test_a_condition_that_is_null_is_as_one_that_is_not_there(row: Row) -> None:
    empty = row(1.0, attempt=None, cpus=None, memory=None)
    assert empty.attempt == 0
    assert [variants.value(empty.conditions, key) for key in ("cpus", "memory")] == [1.0, 2**28]


def test_a_failure_has_no_value_and_a_value_is_no_failure(row: Row) -> None:
    with pytest.raises(ValueError, match="never both"):
        row(0.1, status="failed")
    with pytest.raises(ValueError, match="never both"):
        row(None, status="ok")
    with pytest.raises(ValueError, match="not a measured value"):
        row(float("nan"))


def test_a_missing_file_is_told_with_the_remedy(tmp_path: Path) -> None:
    with pytest.raises(LabError, match="ENOENT"):
        read(tmp_path / "none.jsonl")


def test_of_a_trial_that_was_done_again_only_the_last_attempt_is_read(file: Path, row: Row) -> None:
    write(file, row(0.1, order=0), row(0.2, order=1), row(0.3, order=1, attempt=1))
    rows, damage = read(file)
    assert [each.value for each in rows] == [0.1, 0.3]
    assert damage == []
