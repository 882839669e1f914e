"""The judges of the lesson "uts" can reach each of their answers."""

from __future__ import annotations

from labrt.lessons.lesson import prediction


def test_the_judges_of_uts() -> None:
    judge = prediction("uts-p1").judge
    assert judge(host="lab 6.1", container="box 5.9") == "a"
    assert judge(host="lab 6.1", container="box 6.1\n") == "b"
    assert judge(host="lab 6.1", container="lab 6.1") == "c"
    judge = prediction("uts-p2").judge
    assert [judge(said=s, host="lab", container="box") for s in ("lab", "box", "")] == list("abc")
    judge = prediction("uts-p3").judge
    assert judge(refused=False, before="lab", after="lab") == "a"
    assert judge(refused=False, before="lab", after="box") == "b"
    assert judge(refused=True, before="lab", after="lab") == "c"
