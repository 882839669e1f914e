"""bench/frame.py: runs as one table; what can't be used is told, the rest is used."""

from __future__ import annotations

import json
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import bench
from bench import frame, load_cost, observations
from bench.observations import ROWS, Log, Observation
from labrt.errors import LabError

Row = Callable[..., Observation]


@pytest.fixture
def run_of(tmp_path: Path) -> Callable[..., Path]:
    """Write rows into the folder of a run; return it."""

    def make(name: str, *rows: Observation) -> Path:
        folder = tmp_path / name
        folder.mkdir(exist_ok=True)
        with Log(folder / ROWS) as log:
            for row in rows:
                log.append(row)
        return folder

    return make


def test_each_condition_is_a_column(run_of: Callable[..., Path], row: Row) -> None:
    folder = run_of("a", row(0.1), row(None, warmup=True), row(2.0, subject="vm", instances=3))
    loaded = bench.load(folder)
    assert list(loaded["status"]) == ["ok", "failed", "ok"]
    assert list(loaded["warmup"]) == [False, True, False]
    assert loaded["instances"].tolist()[2] == 3
    assert set(loaded["digest"]) == {row().conditions["digest"]}
    assert loaded["value"].isna().tolist() == [False, True, False]


def test_several_runs_and_patterns_are_one_table_and_no_run_is_read_twice(
    run_of: Callable[..., Path], row: Row, tmp_path: Path
) -> None:
    a, b = run_of("2026-a", row(1.0, run="a")), run_of("2026-b", row(2.0, run="b", extra="x"))
    (tmp_path / "latest").symlink_to("2026-b")
    (tmp_path / "notes").mkdir()
    for meant in ([a, b], f"{tmp_path}/2026-*", f"{tmp_path}/*", [a, tmp_path / "latest", b]):
        assert sorted(bench.load(meant)["value"]) == [1.0, 2.0]
    assert bench.load(f"{tmp_path}/*")["extra"].isna().sum() == 1


@pytest.mark.parametrize("meant", ["/nonexistent", "/nonexistent/*", []])
def test_no_run_is_told_with_the_remedy(meant: str | list[str]) -> None:
    with pytest.raises(LabError, match="Remedy: name a folder"):
        bench.load(meant)


def changed(data: dict[str, Any], **conditions: object) -> dict[str, Any]:
    return {**data, "conditions": {**data["conditions"], **conditions}}


DAMAGE = {
    "another version": (lambda data: {**data, "schema": 2}, "schema 2, this lab reads 1"),
    "no number": (lambda data: {**data, "value": "fast"}, "not a number"),
    "truth": (lambda data: {**data, "value": True}, "not a number"),
    "neither": (lambda data: {**data, "value": None}, "never neither"),
    "unknown status": (lambda data: {**data, "status": "maybe", "value": None}, ""),
    "no conditions": (lambda data: {**data, "conditions": 3}, "conditions"),
    "no whole number": (lambda data: {**data, "sample": 0.5}, "sample is 0.5, not a whole number"),
    "no text": (lambda data: changed(data, host=7), "host is 7, not a text"),
    "no attempt": (lambda data: changed(data, attempt="x"), "attempt is 'x', not a whole number"),
    "unknown key": (lambda data: {**data, "colour": "red"}, "colour"),
    "no object": (lambda data: [1], "not a JSON object"),
}


@pytest.mark.parametrize("kind", DAMAGE)
def test_a_row_that_cannot_be_used_is_told_and_the_rest_is_used(
    run_of: Callable[..., Path], row: Row, kind: str
) -> None:
    damage, reason = DAMAGE[kind]
    folder = run_of("a", row(0.1), row(0.2), row(0.3))
    lines = (folder / ROWS).read_text().splitlines()
    lines[1] = json.dumps(damage(json.loads(lines[1])))
    (folder / ROWS).write_text("\n".join(lines) + "\n")
    with pytest.warns(UserWarning, match=f"line 2 left out.*{reason}"):
        loaded = bench.load(folder)
    assert loaded["value"].tolist() == [0.1, 0.3]


def test_a_file_whose_rows_are_all_wrong_alike_is_told_too(
    run_of: Callable[..., Path], row: Row
) -> None:
    folder = run_of("a", row(0.1, order="first"))
    with pytest.warns(UserWarning, match="line 1 left out: order is 'first'"):
        assert len(bench.load(folder)) == 0


def test_a_last_row_cut_short_is_told(run_of: Callable[..., Path], row: Row) -> None:
    folder = run_of("a", row(0.1), row(0.2))
    whole = (folder / ROWS).read_bytes()
    (folder / ROWS).write_bytes(whole[:-1])
    with pytest.warns(UserWarning, match="line 2 left out: cut short"):
        assert len(bench.load(folder)) == 1


def test_many_damaged_rows_are_counted_not_listed(run_of: Callable[..., Path], row: Row) -> None:
    folder = run_of("a", row(0.1))
    with (folder / ROWS).open("a") as stream:
        stream.write("nonsense\n" * 100)
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        bench.load(folder)
    assert [str(each.message).partition(ROWS)[2] for each in said][3:] == [
        ": 97 more lines left out, 1 rows kept"
    ]


def test_what_a_resumed_run_did_again_counts_once(run_of: Callable[..., Path], row: Row) -> None:
    folder = run_of("a", row(0.1, order=0), row(0.2, order=1), row(0.3, order=1, attempt=1))
    assert bench.load(folder)["value"].tolist() == [0.1, 0.3]


def test_a_condition_that_is_a_number_here_and_a_text_there_is_kept(
    run_of: Callable[..., Path], row: Row
) -> None:
    loaded = bench.load(run_of("a", row(0.1, budget=1), row(0.2, budget="none")))
    assert loaded["budget"].tolist() == [1, "none"]


def test_both_readers_read_the_same(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """In many small blocks, in one, and row by row."""
    load_cost.write(tmp_path / ROWS, 500)
    rows, _ = observations.read(tmp_path / ROWS)
    at_once = bench.load(tmp_path)
    monkeypatch.setattr(frame, "BLOCK", 10_000)
    in_blocks = bench.load(tmp_path)
    monkeypatch.setattr(frame, "_at_once", lambda block, count: None)
    one_by_one = bench.load(tmp_path)
    for loaded in (at_once, in_blocks, one_by_one):
        for name in ("subject", "sample", "phase", "value", "status", "reason", "at"):
            expected = [getattr(row, name) for row in rows]
            got = loaded[name].astype(object).where(loaded[name].notna(), None).tolist()
            assert got == expected
        assert loaded["machine"].tolist() == [row.conditions["machine"] for row in rows]


def test_a_summary_has_one_line_for_each_number(run_of: Callable[..., Path], row: Row) -> None:
    rows = [row(float(n), sample=n) for n in range(1, 8)]
    other = [row(9.0, subject="vm"), row(None, subject="vm"), row(99.0, subject="vm", warmup=True)]
    found = bench.summarise(bench.load(run_of("a", *rows, *other)))
    assert found[["subject", "n", "failed", "median"]].values.tolist() == [
        ["labrt", 7, 0, 4.0],
        ["vm", 1, 1, 9.0],
    ]
    assert "only 1 sample" in found["warnings"][1]


def test_the_cost_of_loading_can_be_measured(tmp_path: Path) -> None:
    load_cost.write(tmp_path / ROWS, 1000)
    found = load_cost.measure(tmp_path)
    assert found["load"] > 0
    assert found["file"] == (tmp_path / ROWS).stat().st_size
    assert load_cost.table(1000, found).rows[0][1].endswith("s")
