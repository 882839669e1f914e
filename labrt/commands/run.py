"""`labrt run IMAGE [CMD…]`."""

from __future__ import annotations

import argparse
import signal
from types import FrameType

from labrt import container, removal
from labrt.commands.explain import container_arguments, declared
from labrt.container import Started
from labrt.telling import tell_trace, trace_arguments

HELP = "run a program in a new container"
STOP_SECONDS = 3.0  # between the polite request to end and the forced one


def arguments(parser: argparse.ArgumentParser) -> None:
    container_arguments(parser)
    trace_arguments(parser)


def main(options: argparse.Namespace) -> int:
    removal.remove_dead()
    spec = declared(options)
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, _interrupt)
    with container.start(spec) as running:
        status = attend(running)
    tell_trace(options, running.trace)
    return status


def attend(running: Started) -> int:
    """Wait for the container; asked to end, ask it in turn, and not for ever."""
    try:
        status = running.wait()
    except KeyboardInterrupt:
        running.signal(signal.SIGTERM)
        if running.wait(STOP_SECONDS) is None:
            running.signal(signal.SIGKILL)
        status = running.wait()
    assert status is not None, "no time-out was given"
    return status


def _interrupt(number: int, frame: FrameType | None) -> None:
    raise KeyboardInterrupt
