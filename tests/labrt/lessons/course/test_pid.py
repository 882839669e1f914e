"""The judges of the lesson "pid" can reach each of their answers."""

from __future__ import annotations

from labrt.lessons.lesson import prediction


def test_the_judges_of_pid() -> None:
    judge = prediction("pid-p1").judge
    assert [judge(lines=n, host=200) for n in (200, 90, 1)] == ["a", "b", "c"]
    judge = prediction("pid-p2").judge
    assert judge(still_running=False, refused=False) == "a"
    assert judge(still_running=True, refused=False) == "b"
    assert judge(still_running=True, refused=True) == "c"
    judge = prediction("pid-p3").judge
    assert [judge(left=n) for n in (3, 2, 0)] == ["a", "b", "c"]
