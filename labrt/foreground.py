"""In the foreground: a process of a container that this command has started and waits for."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

from labrt.container import Started, Stdio

STOP_SECONDS = 3.0  # between the polite request to end and the forced one


@contextmanager
def stdio(interactive: bool) -> Iterator[Stdio]:
    """Ours, for the time of the block; without --interactive there is nothing to read. From here
    on SIGTERM and SIGHUP ask for the end as Ctrl-C does."""
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, _interrupt)
    if interactive:
        yield 0, 1, 2
        return
    null = os.open(os.devnull, os.O_RDONLY | os.O_CLOEXEC)
    try:
        yield null, 1, 2
    finally:
        os.close(null)


@contextmanager
def undisturbed() -> Iterator[None]:
    """Let whoever asks for the end wait until the block is done: what it makes has an owner then,
    who will undo it. (A blocked signal would stay blocked in the container.)

    Raises:
        KeyboardInterrupt: at the end of the block: somebody asked.
    """
    asked: list[int] = []
    numbers = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    before = {n: signal.signal(n, lambda number, frame: asked.append(number)) for n in numbers}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
    if asked:
        raise KeyboardInterrupt


def attend(running: Started, interactive: bool) -> int:
    """Wait for it, showing its terminal if it has one; asked to end, ask it in turn, and not for
    ever.

    Returns:
        Its exit code.
    """
    try:
        if running.master >= 0:
            from labrt import relay

            relay.relay(running.master, interactive)
        status = running.wait()
    except KeyboardInterrupt:
        running.signal(signal.SIGTERM)
        if running.wait(STOP_SECONDS) is None:
            running.kill()
        status = running.wait()
    assert status is not None, "no time-out was given"
    return status


def _interrupt(number: int, frame: FrameType | None) -> None:
    raise KeyboardInterrupt
