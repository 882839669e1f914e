"""`labrt run IMAGE [CMD…]`."""

from __future__ import annotations

import argparse
import signal
import sys
from collections.abc import Sequence
from types import FrameType

from labrt import container, interpreter, removal
from labrt.commands.explain import container_arguments, declared
from labrt.container import Started
from labrt.perform import Timed

HELP = "run a program in a new container"
STOP_SECONDS = 3.0  # between the polite request to end and the forced one


def arguments(parser: argparse.ArgumentParser) -> None:
    container_arguments(parser)
    parser.add_argument("--trace", action="store_true", help="print each step with its time")


def main(options: argparse.Namespace) -> int:
    removal.remove_dead()
    spec = declared(options)
    interpreter.run_sealed(spec)
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, _interrupt)
    with container.start(spec) as running:
        status = attend(running)
    if options.trace:
        sys.stderr.write(trace_table(running.trace))
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


def trace_table(trace: Sequence[Timed]) -> str:
    """Return the performed steps as text: when each began after the first (ms), how long (µs)."""
    first = trace[0].start
    lines = [f"{'at ms':>8} {'took µs':>9}  side      step"]
    for timed in trace:
        at, took = (timed.start - first) / 1e6, timed.duration / 1e3
        lines.append(f"{at:8.3f} {took:9.1f}  {timed.side:9} {timed.name}")
    end = (trace[-1].start + trace[-1].duration - first) / 1e6
    lines.append(f"{end:8.3f}            execve")
    return "\n".join(lines) + "\n"


def _interrupt(number: int, frame: FrameType | None) -> None:
    raise KeyboardInterrupt
