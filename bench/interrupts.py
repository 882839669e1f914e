"""Ctrl-C at any moment, and nothing left running.

A signal handler in Python may raise between any two instructions, also between the start of an
instance and the line that remembers it, or in the middle of taking it down. So the handler raises
only where nothing is held; inside `held()` the signal is kept until the block ends. The blocks are
short (one start, one take-down), all of them bounded by deadlines.

Man pages: signal(7), sigaction(2).
"""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class Interrupted(KeyboardInterrupt):
    """The user (or the system) asked the run to end. Shells expect status 128 + signal."""

    def __init__(self, signum: int) -> None:
        super().__init__(signal.Signals(signum).name)
        self.signum = signum

    @property
    def status(self) -> int:
        return 128 + self.signum


_depth = 0
_pending: int | None = None


@contextmanager
def raised() -> Iterator[None]:
    """Turn the signals into `Interrupted` while the block runs. Main thread only."""
    global _pending
    _pending = None
    before = {number: signal.signal(number, _on_signal) for number in SIGNALS}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@contextmanager
def held() -> Iterator[None]:
    """Keep signals waiting while the block runs; the first of them is raised at its end."""
    global _depth, _pending
    _depth += 1
    try:
        yield
    finally:
        _depth -= 1
        if _depth == 0 and _pending is not None:
            signum, _pending = _pending, None
            raise Interrupted(signum)


def _on_signal(signum: int, frame: FrameType | None) -> None:
    global _pending
    if _depth == 0:
        raise Interrupted(signum)
    if _pending is None:
        _pending = signum
