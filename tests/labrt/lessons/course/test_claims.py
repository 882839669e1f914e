"""The judges of the lesson "claims" can reach each of their answers."""

from __future__ import annotations

import pytest

from bench.claims import verdict
from labrt.lessons.lesson import prediction


@pytest.mark.parametrize("number", [1, 2, 3])
def test_the_judges_of_claims(number: int) -> None:
    judge = prediction(f"claims-p{number}").judge
    assert [judge(verdict=each) for each in (verdict.HOLDS, verdict.LIMITED)] == ["a", "a"]
    assert judge(verdict=verdict.FAILS) == "b"
    assert [judge(verdict=each) for each in (verdict.OPEN, verdict.UNMEASURED)] == ["c", "c"]
