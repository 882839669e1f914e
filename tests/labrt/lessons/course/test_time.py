"""The judges of the lesson "time" can reach each of their answers."""

from __future__ import annotations

import os

from labrt.lessons.course import time
from labrt.lessons.lesson import prediction


def test_the_judges_of_time() -> None:
    judge = prediction("time-p1").judge
    assert [judge(host=5000.0, container=c) for c in (5000.5, 91400.0, 2.0)] == ["a", "b", "c"]
    judge = prediction("time-p2").judge
    assert [judge(host=1e9, container=c) for c in (1e9 + 1, 1e9 + 86400)] == ["a", "b"]
    judge = prediction("time-p3").judge
    assert judge(refused=False, before="x", after="x") == "a"
    assert judge(refused=False, before="x", after="y") == "b"
    assert judge(refused=True, before="x", after="x") == "c"


def test_the_hosts_clocks_are_not_ahead() -> None:
    assert time.offsets(os.getpid()) == {"monotonic": 0, "boottime": 0}
    assert time.offsets(2**22) == {}
