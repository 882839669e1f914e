"""bench/claims/told.py: every claim is told, measured or not; the ledger and its document agree."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path

import pytest

from bench import claims, experiments
from bench.claims import JUDGES, Judged, told
from bench.claims.ledger import CLAIMS, Claim
from bench.claims.verdict import HOLDS, LIMITED, OPEN, UNMEASURED, Verdict
from bench.observations import Observation
from tests.bench.scorecards import scorecard

Row = Callable[..., Observation]
DOCUMENT = Path(__file__).parents[3] / "docs" / "claims.md"


def unmeasured(**given: object) -> Judged:
    return Judged(Claim("C99", "It is so", **given), Verdict(UNMEASURED))  # type: ignore[arg-type]


def test_every_claim_has_its_number_once() -> None:
    assert [claim.id for claim in CLAIMS] == [f"C{n:02}" for n in range(1, 28)]


def test_each_judge_has_a_claim_with_experiments() -> None:
    with_experiments = {claim.id for claim in CLAIMS if claim.experiments}
    assert set(JUDGES) <= with_experiments
    assert "isolation" in claims.experiments()
    assert "isolation" in experiments.names()


def test_the_document_has_the_ledgers_words() -> None:
    lines = re.findall(r"^\| (C\d\d) \| ([^|]+) \|", DOCUMENT.read_text(), re.MULTILINE)
    assert lines == [(claim.id, claim.text) for claim in CLAIMS]


def test_every_claim_is_told_with_what_would_show_it(row: Row) -> None:
    text = told.markdown(claims.judge(scorecard(row)), "RUN", "a host")
    assert re.findall(r"^## (C\d\d)", text, re.MULTILINE) == [claim.id for claim in CLAIMS]
    assert "**holds** (n: labrt 1, process 1, vm 1)" in text
    assert "To measure it: ./lab bench startup stop" in text
    assert "A lesson shows it: 00 · A container in ten minutes." in text
    assert "Nothing here shows it yet." not in text, "each has an experiment or a lesson"
    assert told.how_to(unmeasured()) == "Nothing here shows it yet."


def test_what_a_run_lacks_is_told(row: Row) -> None:
    rows = [row(subject=name, kind=kind) for name, kind in (("labrt", "container"), ("vm", "vm"))]
    (found,) = (each for each in claims.judge(rows) if each.claim.id == "C23")
    assert found.verdict.cannot_tell[-1] == "Not measured in this run: stop, scale-out."


def test_rows_of_another_version_decide_nothing_and_keep_no_other_claim(row: Row) -> None:
    about = {"experiment": "limits", "phase": "memory", "metric": "taken", "unit": "B"}
    rows = [*scorecard(row), row(1.0, **about)]  # without its limit
    found = {each.claim.id: each.verdict for each in claims.judge(rows)}
    assert found["C20"].verdict == OPEN
    assert "'limit'" in found["C20"].sentences[0]
    assert found["C19"].verdict == HOLDS


def test_only_a_lesson_that_exists_is_named(tmp_path: Path) -> None:
    cells = [{"cell_type": "markdown", "source": ["# 03 · Mounts\n", "\n", "Text.\n"]}]
    (tmp_path / "03_mnt.ipynb").write_text(json.dumps({"cells": cells}))
    found = told.lessons(unmeasured(lessons=("03", "04")), tmp_path)
    assert found == [told.Lesson("03_mnt.ipynb", "03 · Mounts")]


def test_programs_get_json_types_only(row: Row) -> None:
    found = told.figures(claims.judge(scorecard(row)), "RUN", "a host")
    assert json.loads(json.dumps(found, allow_nan=False)) == found
    by_id = {each["id"]: each for each in found["claims"]}
    assert by_id["C04"]["verdict"] == LIMITED
    assert by_id["C04"]["figures"]["less"] == 21
    assert by_id["C17"]["lessons"] == ["02_uts.ipynb"]


def test_the_report_has_what_was_measured_and_nothing_else(row: Row) -> None:
    shown = told.section(claims.judge(scorecard(row)))
    assert {each["id"] for each in shown} == {
        claim.id for claim in CLAIMS if claim.experiments == ("isolation",)
    }
    assert all(each["lines"] for each in shown)
    assert told.section(claims.judge([])) == []


@pytest.mark.parametrize("judged", claims.judge([]))
def test_what_was_not_measured_says_what_to_do(judged: Judged) -> None:
    assert not judged.measured
    assert told.how_to(judged)
