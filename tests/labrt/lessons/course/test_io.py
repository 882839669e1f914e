"""The judges of the lesson "io" can reach each of their answers."""

from __future__ import annotations

from labrt.lessons.lesson import prediction


def test_the_judges_of_io() -> None:
    judge = prediction("io-p1").judge
    assert [judge(seconds=seconds) for seconds in (0.0, 1.0, 2.98)] == ["a", "b", "c"]
    judge = prediction("io-p2").judge
    assert [judge(seconds=seconds) for seconds in (3.0, 0.0)] == ["a", "b"]
    judge = prediction("io-p3").judge
    assert [judge(first=2.0, second=second) for second in (1.9, 0.0)] == ["a", "b"]
