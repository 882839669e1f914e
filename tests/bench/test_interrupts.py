"""bench/interrupts.py: a signal never falls into the middle of a start or a take-down."""

from __future__ import annotations

import os
import signal

import pytest

from bench import interrupts
from bench.interrupts import Interrupted


@pytest.mark.parametrize("number", interrupts.SIGNALS)
def test_a_signal_is_raised_with_the_status_that_shells_expect(number: signal.Signals) -> None:
    with interrupts.raised(), pytest.raises(Interrupted) as caught:
        os.kill(os.getpid(), number)
    assert caught.value.status == 128 + number
    assert str(caught.value) == number.name


def test_a_held_signal_waits_for_the_end_of_the_block() -> None:
    reached = []
    with interrupts.raised(), pytest.raises(Interrupted):
        with interrupts.held():
            os.kill(os.getpid(), signal.SIGINT)
            os.kill(os.getpid(), signal.SIGTERM)
            with interrupts.held():
                reached.append("inner")
            reached.append("outer")
        reached.append("after")
    assert reached == ["inner", "outer"]


def test_the_first_of_the_held_signals_counts() -> None:
    with interrupts.raised(), pytest.raises(Interrupted) as caught, interrupts.held():
        os.kill(os.getpid(), signal.SIGTERM)
        os.kill(os.getpid(), signal.SIGINT)
    assert caught.value.signum == signal.SIGTERM


def test_the_handlers_from_before_are_put_back() -> None:
    before = signal.getsignal(signal.SIGINT)
    with interrupts.raised():
        assert signal.getsignal(signal.SIGINT) is not before
    assert signal.getsignal(signal.SIGINT) is before
