"""The judges of the lesson "pids" can reach each of their answers."""

from __future__ import annotations

from labrt.lessons.lesson import prediction


def test_the_judges_of_pids() -> None:
    judge = prediction("pids-p1").judge
    assert judge(peak=31, limit=30, runs=True) == "a"
    assert judge(peak=30, limit=30, runs=True) == "b"
    assert judge(peak=30, limit=30, runs=False) == "c"
    judge = prediction("pids-p2").judge
    told = ["started\n", "", "sh: can't fork: Resource temporarily unavailable\n"]
    assert [judge(text=text) for text in told] == ["a", "b", "c"]
    judge = prediction("pids-p3").judge
    assert [judge(started=started, wanted=10) for started in (10, 4)] == ["a", "b"]
