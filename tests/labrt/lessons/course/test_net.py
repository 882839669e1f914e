"""The judges of the lesson "net" can reach each of their answers."""

from __future__ import annotations

from labrt.lessons.lesson import prediction


def test_the_judges_of_net() -> None:
    judge = prediction("net-p1").judge
    found = (["lo", "eth0"], ["lo"], [])
    assert [judge(here=["lo", "eth0"], there=there) for there in found] == ["a", "b", "c"]
    judge = prediction("net-p2").judge
    answers = (("refused", "refused"), ("one", "refused"), ("one\n", "two\n"))
    assert [judge(one=one, other=other) for one, other in answers] == ["a", "b", "c"]
    judge = prediction("net-p3").judge
    answer = ("root:x:0:0", "Network is unreachable", "bind: Cannot assign requested address")
    assert [judge(said=said) for said in answer] == ["a", "b", "c"]
