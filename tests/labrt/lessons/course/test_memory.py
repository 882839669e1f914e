"""The judges of the lesson "memory" can reach each of their answers."""

from __future__ import annotations

from labrt.lessons.lesson import prediction


def test_the_judges_of_memory() -> None:
    judge = prediction("memory-p1").judge
    assert [judge(status=status) for status in (137, 0, 1)] == ["a", "b", "c"]
    judge = prediction("memory-p2").judge
    assert judge(status=1, kills=0) == "a"
    assert judge(status=137, kills=1) == "b"
    assert judge(status=0, kills=0) == "c"
    judge = prediction("memory-p3").judge
    assert judge(runs=False, kills=1) == "a"
    assert judge(runs=True, kills=1) == "b"
    assert judge(runs=True, kills=0) == "c"
