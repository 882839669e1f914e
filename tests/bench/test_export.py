"""bench/export.py and the verb: what other programs read is what the rows say."""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path

import pandas
import pytest

import bench
from bench.__main__ import main
from bench.observations import ROWS, Log, Observation

Row = Callable[..., Observation]


@pytest.fixture
def folder(tmp_path: Path, row: Row) -> Path:
    with Log(tmp_path / ROWS) as log:
        for each in (row(0.1), row(None, reason='it, "died"\n', budget="none"), row(2, budget=7)):
            log.append(each)
    return tmp_path


@pytest.mark.parametrize("form", ["csv", "parquet"])
def test_a_file_holds_the_same_rows(folder: Path, form: str) -> None:
    file = folder / f"rows.{form}"
    assert main(["export", str(folder), f"--{form}", str(file)]) == 0
    back = pandas.read_csv(file) if form == "csv" else pandas.read_parquet(file)
    loaded = bench.load(folder)
    assert list(back.columns) == list(loaded.columns)
    assert back["value"].equals(loaded["value"])
    assert back["reason"].fillna("").tolist() == loaded["reason"].tolist()
    assert [path.name for path in folder.iterdir() if path.name.startswith(".")] == []


def test_a_condition_that_is_a_list_is_a_text_in_parquet(tmp_path: Path, row: Row) -> None:
    with Log(tmp_path / ROWS) as log:
        log.append(row(0.1, odd={}, list=[1]))
    assert main(["export", str(tmp_path), "--parquet", str(tmp_path / "rows.parquet")]) == 0
    (back,) = pandas.read_parquet(tmp_path / "rows.parquet").to_dict("records")
    assert (back["odd"], back["list"]) == ("{}", "[1]")


def test_without_a_file_it_is_csv_on_the_screen(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with (folder / ROWS).open("a") as stream:
        stream.write("nonsense\n")
    assert main(["export", str(folder)]) == 0
    shown = capsys.readouterr()
    assert len(pandas.read_csv(io.StringIO(shown.out))) == 3
    assert "line 4 left out" in shown.err


def test_a_file_that_cannot_be_written_is_one_line(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["export", str(folder), "--csv", "/proc/none/rows.csv"]) == 1
    assert capsys.readouterr().err.count("\n") == 1


def test_no_run_is_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["export", "/nonexistent"]) == 1
    assert "ENOENT" in capsys.readouterr().err
