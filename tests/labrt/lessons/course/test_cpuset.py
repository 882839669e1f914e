"""The judges of the lesson "cpuset" can reach each of their answers."""

from __future__ import annotations

from labrt.lessons.lesson import prediction


def test_the_judges_of_cpuset() -> None:
    judge = prediction("cpuset-p1").judge
    assert [judge(listed=listed, host=2) for listed in (1, 2)] == ["a", "b"]
    judge = prediction("cpuset-p2").judge
    assert [judge(seconds=seconds) for seconds in (1.4, 0.05)] == ["a", "b"]
    judge = prediction("cpuset-p3").judge
    assert judge(frozen=7, thawed=7) == "a"
    assert judge(frozen=None, thawed=7) == "b"
    assert judge(frozen=None, thawed=None) == "c"
