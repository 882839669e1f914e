"""The judges of the lesson "vm" can reach each of their answers."""

from __future__ import annotations

from labrt.lessons.lesson import prediction


def test_the_judges_of_vm() -> None:
    judge = prediction("vm-p1").judge
    assert [judge(host=n, inside=50) for n in (50, 1, 0)] == ["a", "b", "c"]
    judge = prediction("vm-p2").judge
    assert [judge(touched=n, given=256) for n in (256, 120, 0)] == ["a", "b", "c"]
    judge = prediction("vm-p3").judge
    assert judge(said="crash", same_boot=False) == "a"
    assert judge(said="crash", same_boot=True) == "b"
    assert judge(said="crash\nstill here", same_boot=True) == "c"
