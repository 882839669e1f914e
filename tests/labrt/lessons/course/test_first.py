"""The judges of the lesson "first" can reach each of their answers."""

from __future__ import annotations

from labrt.lessons.lesson import prediction


def test_the_judges_of_first() -> None:
    judge = prediction("first-p1").judge
    assert [judge(milliseconds=ms) for ms in (9000, 900, 9)] == ["a", "b", "c"]
    judge = prediction("first-p2").judge
    assert [judge(pids=pids) for pids in ([], [7, 7], [700, 1])] == ["a", "b", "c"]
