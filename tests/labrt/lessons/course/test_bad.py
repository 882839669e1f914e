"""The judges of the lesson "bad" can reach each of their answers; its check sees the kernel."""

from __future__ import annotations

import os
import select

import pytest

import labrt
from labrt.lessons.lesson import check_of, prediction


def test_the_judges_of_bad() -> None:
    judge = prediction("bad-p1").judge
    assert judge(times=[0.1, 0.21, 0.2], interval=0.2) == "b"
    assert judge(times=[0.1, 0.1, 0.3], interval=0.2) == "a"
    judge = prediction("bad-p2").judge
    assert [judge(seen=seen, held=32) for seen in (40, 10)] == ["a", "b"]
    judge = prediction("bad-p3").judge
    assert judge(times=[1, 2, 3, 4], mean=2.5) == "a"
    assert judge(times=[1] * 9 + [10], mean=1.9) == "b"
    assert judge(times=[1, 1], mean=5) == "c"


@pytest.mark.usefixtures("nothing_left")
def test_a_pidfd_that_nobody_watches_is_not_enough() -> None:
    look = check_of("bad-02").observe
    with labrt.run("busybox", ["sleep", "600"], hostname="tango-1") as box, select.epoll() as epoll:
        pidfd = os.pidfd_open(box.pid)
        try:
            assert not look("tango-1").passed
            epoll.register(pidfd, select.EPOLLIN)
            assert look("tango-1").passed
        finally:
            os.close(pidfd)
        assert not look("tango-1").passed
