"""labrt/lessons/class_report.py: a class's histogram from its ledgers, without names."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from labrt.lessons import class_report


def entry(kind: str, identity: str, **facts: Any) -> dict[str, Any]:
    return {"at": 1.0, "kind": kind, "id": identity, **facts}


def hand_in(folder: Path, name: str, *entries: dict[str, Any], seed: str = "") -> Path:
    file = folder / f"{name}{seed}.json"
    value = {"schema": 1, "student": name, "seed": seed or name, "entries": list(entries)}
    file.write_text(json.dumps(value))
    return file


def said(choice: str) -> dict[str, Any]:
    return entry("prediction", "uts-p1", choice=choice)


SHOWN = entry("outcome", "uts-p1", seen="b", predicted=None)
BEGUN = entry("begin", "uts")


@pytest.fixture
def class_of_three(tmp_path: Path) -> Path:
    tries = [entry("check", "uts-01", passed=passed) for passed in (False, False, True, False)]
    hand_in(tmp_path, "ann", BEGUN, said("a"), said("b"), SHOWN, said("c"), *tries)
    hand_in(tmp_path, "ben", BEGUN, said("a"), SHOWN, tries[0])
    hand_in(tmp_path, "cho", BEGUN, SHOWN, said("b"))
    return tmp_path


def figures(folder: Path, names: bool = False) -> dict[str, Any]:
    return class_report.figures(class_report.gather([folder])[0], names)


def test_the_last_word_before_the_outcome_counts(class_of_three: Path) -> None:
    found = figures(class_of_three)["lessons"]["uts"]
    assert found["begun"] == 3
    assert found["predictions"]["uts-p1"] == {"choices": {"a": 1, "b": 1, "c": 0}, "seen": "b"}


def test_attempts_are_counted_up_to_the_first_success(class_of_three: Path) -> None:
    found = figures(class_of_three)["lessons"]["uts"]["checks"]
    assert found["uts-01"] == {"tried": 2, "passed": 1, "attempts": 3}
    assert found["uts-02"] == {"tried": 0, "passed": 0, "attempts": None}


def test_nobody_is_named_unless_asked_for(
    class_of_three: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert class_report.main([str(class_of_three)]) == 0
    told = capsys.readouterr().out
    assert "3 students" in told and "* b    1" in told
    assert not any(name in told for name in ("ann", "ben", "cho"))
    assert class_report.main([str(class_of_three), "--names"]) == 0
    assert "ann" in capsys.readouterr().out


def test_a_ledger_handed_in_twice_is_one_student(tmp_path: Path) -> None:
    hand_in(tmp_path, "ann", BEGUN)
    (tmp_path / "again").mkdir()
    hand_in(tmp_path / "again", "ann", BEGUN, said("a"))
    found = figures(tmp_path)
    assert found["students"] == 1
    assert found["lessons"]["uts"]["predictions"]["uts-p1"]["choices"]["a"] == 1


def test_two_students_of_one_name_are_two(tmp_path: Path) -> None:
    hand_in(tmp_path, "student", BEGUN, seed="1")
    hand_in(tmp_path, "student", BEGUN, seed="2")
    assert figures(tmp_path)["students"] == 2


@pytest.mark.parametrize(
    "text",
    ["", "{}", "[]", '{"schema": 1}', '{"schema": 1, "student": 5, "seed": "x", "entries": []}',
     '{"schema": 1, "student": "x", "seed": "x", "entries": [7]}', "[" * 100_000],
)  # fmt: skip
def test_what_is_no_ledger_is_told_and_left_out(
    class_of_three: Path, text: str, capsys: pytest.CaptureFixture[str]
) -> None:
    (class_of_three / "broken.json").write_text(text)
    assert class_report.main([str(class_of_three)]) == 0
    told = capsys.readouterr()
    assert "broken.json" in told.err and "Traceback" not in told.err
    assert "3 students" in told.out


def test_hostile_values_are_not_counted(tmp_path: Path) -> None:
    odd = [
        said("z"),
        entry("outcome", "uts-p1", seen={"x": 1}),
        entry("check", "uts-01", passed="y"),
    ]
    hand_in(tmp_path, "\x1b[31mred", BEGUN, *odd)
    found = figures(tmp_path, names=True)
    assert found["lessons"]["uts"]["checks"]["uts-01"]["passed"] == 0
    assert [*found["names"]] == ["[31mred"]


def test_without_a_ledger_it_says_so(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert class_report.main([str(tmp_path)]) == 1
    assert class_report.main([str(tmp_path / "none")]) == 1
    assert "Traceback" not in capsys.readouterr().err
