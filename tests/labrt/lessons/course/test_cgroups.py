"""The judges of the lesson "cgroups" can reach each of their answers."""

from __future__ import annotations

from labrt.lessons.lesson import prediction


def test_the_judges_of_cgroups() -> None:
    judge = prediction("cgroups-p1").judge
    assert judge(lines=[]) == "a"
    assert judge(lines=["2:pids:/", "1:cpu:/", "0::/"]) == "b"
    assert judge(lines=["1:cpu:/", "1:cpu:/two"]) == "c"
    judge = prediction("cgroups-p2").judge
    assert judge(entries=0, refused=False) == "a"
    assert judge(entries=9, refused=False) == "b"
    assert judge(entries=0, refused=True) == "c"
    judge = prediction("cgroups-p3").judge
    assert judge(refused=False, lives=False) == "a"
    assert judge(refused=False, lives=True) == "b"
    assert judge(refused=True, lives=True) == "c"
