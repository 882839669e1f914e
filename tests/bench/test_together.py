"""bench/together.py: calls at the same time, and their end."""

from __future__ import annotations

import threading
import time

import pytest

from bench import together as module
from bench.interrupts import Interrupted
from bench.together import together


def test_each_call_gives_what_it_returned_or_raised_in_order() -> None:
    def call(number: int) -> int:
        time.sleep(0.01 * (3 - number))
        if number == 1:
            raise OSError("no second")
        return number

    first, second, third = together([lambda n=n: call(n) for n in range(3)], 3)
    assert (first, str(second), third) == (0, "no second", 2)


@pytest.mark.parametrize("at_once", [1, 2, 5])
def test_no_more_run_at_once_than_said(at_once: int) -> None:
    lock, now, most = threading.Lock(), 0, 0

    def call() -> None:
        nonlocal now, most
        with lock:
            now += 1
            most = max(most, now)
        time.sleep(0.02)
        with lock:
            now -= 1

    together([call] * 5, at_once)
    assert most == at_once


def test_an_interruption_ends_those_under_way_and_begins_no_other(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    ended, begun = threading.Event(), []

    def call() -> None:
        begun.append(1)
        assert ended.wait(10)

    def interrupted(futures: object) -> None:
        while not begun:
            time.sleep(0.001)
        raise Interrupted(2)

    monkeypatch.setattr(module, "wait", interrupted)
    with pytest.raises(Interrupted):
        together([call] * 3, 1, ended.set)
    assert len(begun) == 1
