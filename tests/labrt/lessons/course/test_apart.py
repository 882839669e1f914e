"""The judges of the lesson "apart" can reach each of their answers."""

from __future__ import annotations

from labrt.lessons.lesson import prediction


def test_the_judges_of_apart() -> None:
    for identity in ("apart-p1", "apart-p2"):
        judge = prediction(identity).judge
        assert [judge(outcome=each) for each in ("runs", "refused", "vital")] == ["a", "b", "c"]
    judge = prediction("apart-p3").judge
    assert judge(outcome="refused", uid=1000) == "a"
    assert judge(outcome="runs", uid=1000) == "b"
    assert judge(outcome="runs", uid=0) == "c"
