"""Predictions: recorded first, compared after; what is said too late is marked as late."""

from __future__ import annotations

import pytest

from labrt.errors import LabError
from labrt.lessons import ledger
from labrt.lessons.predictions import outcome, predict

SAME_KERNEL = {"host": "lab 6.1", "container": "box 6.1"}  # means b


def test_a_match_is_stated(student: str) -> None:
    assert "recorded" in predict("uts-p1", "b").text
    shown = outcome("uts-p1", **SAME_KERNEL)
    assert shown.text.startswith("Prediction uts-p1: match")


def test_a_mismatch_is_stated_with_both_answers(student: str) -> None:
    predict("uts-p1", "a")
    shown = outcome("uts-p1", **SAME_KERNEL)
    assert shown.text.startswith("Prediction uts-p1: mismatch")
    assert "a, both differ" in shown.text
    assert "b, the name differs" in shown.text


def test_without_a_prediction_the_outcome_is_shown_all_the_same(student: str) -> None:
    shown = outcome("uts-p1", **SAME_KERNEL)
    assert "none was recorded" in shown.text
    assert "b, the name differs" in shown.text


def test_the_last_one_before_the_outcome_counts(student: str) -> None:
    predict("uts-p1", "a")
    predict("uts-p1", "b")
    assert outcome("uts-p1", **SAME_KERNEL).text.startswith("Prediction uts-p1: match")


def test_one_made_after_the_outcome_is_marked_and_does_not_count(student: str) -> None:
    predict("uts-p1", "a")
    outcome("uts-p1", **SAME_KERNEL)
    assert "late" in predict("uts-p1", "b").text
    assert "mismatch" in outcome("uts-p1", **SAME_KERNEL).text
    assert [e["predicted"] for e in ledger.entries("uts-p1") if e["kind"] == "outcome"] == ["a"] * 2


def test_a_first_one_made_after_the_outcome_is_never_taken_for_a_prediction(student: str) -> None:
    outcome("uts-p1", **SAME_KERNEL)
    predict("uts-p1", "b")
    assert "after the outcome" in outcome("uts-p1", **SAME_KERNEL).text
    assert all(e["predicted"] is None for e in ledger.entries("uts-p1") if e["kind"] == "outcome")


@pytest.mark.parametrize("letter", ["", "z", "ab"])
def test_what_is_no_answer_is_not_recorded(student: str, letter: str) -> None:
    assert "not recorded" in predict("uts-p1", letter).text
    assert ledger.entries("uts-p1") == []


def test_an_unknown_prediction_names_those_there_are(student: str) -> None:
    with pytest.raises(LabError, match="uts-p1"):
        predict("uts-p99", "a")
    with pytest.raises(LabError, match="first, .*uts"):
        predict("nosuch-p1", "a")
