"""The judges of the lesson "processes" can reach each of their answers."""

from __future__ import annotations

from labrt.lessons.lesson import prediction


def test_the_judges_of_processes() -> None:
    judge = prediction("processes-p1").judge
    assert judge(here=["stat"], there=["stat", "container"]) == "a"
    assert judge(here=["stat", "ns"], there=["ns", "stat"]) == "b"
    assert judge(here=["stat"], there=[]) == "c"
    judge = prediction("processes-p2").judge
    assert [judge(status=n) for n in (9, 0, 1, 137)] == ["a", "b", "b", "c"]
    judge = prediction("processes-p3").judge
    assert judge(parent=0, before=7, alive=False) == "a"
    assert judge(parent=1, before=7, alive=True) == "b"
    assert judge(parent=7, before=7, alive=True) == "c"
