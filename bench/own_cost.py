"""What measuring itself costs: the floor under every number, and what the bench takes of the host.

    python -m bench.own_cost [--n 200] [--waiting 200] [--json]

A line's way: another process writes down the time and then a mark, and what the bench stamps on its
arrival is later by the resolution of every event here. A null start: everything that a start is but
the instance (pipe, reader, wait, stamp). Waiting: the bench's own CPU time while many outputs are
open and silent, as a share of one core. Reading the clock, and appending a row.

Man pages: clock_getres(2), epoll(7), pipe(7).
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from statistics import median

from bench import standalone, tables
from bench.marks import READY, MarkReader
from bench.observations import ROWS, Log, Observation
from bench.tables import Table

N, WAITING, SECONDS = 200, 200, 1.0
DEADLINE = 10.0  # seconds for one mark
PAUSE = 0.002  # seconds between two marks: each finds the bench asleep, as a real one does

# Each line of input makes it write when it is, and a mark, in one write(2).
WRITER = f"""
import os, sys, time
for line in sys.stdin:
    os.write(1, b"%d\\n{READY}\\n" % time.monotonic_ns())
"""

Figures = dict[str, float]


def main() -> int:
    parser = argparse.ArgumentParser(prog="bench.own_cost")
    parser.add_argument("--n", type=int, default=N, metavar="N", help="samples of each")
    parser.add_argument("--waiting", type=int, default=WAITING, metavar="N", help="silent outputs")
    return standalone.main(parser, _measured)


def _measured(options: argparse.Namespace) -> tuple[Figures, Table]:
    found = measure(options.n, options.waiting, SECONDS)
    return found, tables.own_cost(found)


def measure(n: int, waiting: int, seconds: float) -> Figures:
    """Measure all of it.

    Args:
        n: samples of each.
        waiting: outputs that are open and silent while the bench waits for `seconds`.

    Returns:
        Seconds "clock_step", "clock_read", "arrival" and "arrival_p95", "null_start", "row"; the
        share "waiting_cpu" of one core, with the number of outputs, "waiting".
    """
    arrivals = sorted(arrival(n))
    return {
        "n": n,
        "clock_step": clock_step(),
        "clock_read": clock_read(),
        "arrival": median(arrivals),
        "arrival_p95": arrivals[int(0.95 * n)],
        "null_start": median(null_start() for _ in range(n)),
        "row": row(n),
        "waiting": waiting,
        "waiting_cpu": waiting_cpu(waiting, seconds),
    }


def clock_step(readings: int = 10_000) -> float:
    """Return the smallest step between two different readings of the clock, seconds."""
    stamps = [time.monotonic_ns() for _ in range(readings)]
    return min(b - a for a, b in zip(stamps, stamps[1:], strict=False) if b > a) / 1e9


def clock_read(readings: int = 10_000) -> float:
    """Return what one reading of the clock takes, seconds."""
    begun = time.perf_counter()
    for _ in range(readings):
        time.monotonic_ns()
    return (time.perf_counter() - begun) / readings


def arrival(n: int) -> list[float]:
    """Return how long after its writing each of `n` marks was stamped, seconds."""
    with _writer() as (orders, output):
        return [_one_arrival(orders, output) for _ in range(n)]


def _one_arrival(orders: int, output: int) -> float:
    time.sleep(PAUSE)
    reader = MarkReader(os.dup(output))
    try:
        os.write(orders, b"\n")
        stamped = reader.wait(READY, DEADLINE)
        return (stamped - int(reader.tail.split()[0])) / 1e9
    finally:
        reader.close()


@contextmanager
def _writer() -> Iterator[tuple[int, int]]:
    """Run another process that writes marks; yield where it takes orders, and its output."""
    orders_in, orders = os.pipe()
    output, output_in = os.pipe()
    with ExitStack() as opened:
        opened.callback(os.close, output)
        pid = os.posix_spawn(
            sys.executable,
            [sys.executable, "-I", "-S", "-u", "-c", WRITER],
            {},
            file_actions=[
                (os.POSIX_SPAWN_DUP2, orders_in, 0),
                (os.POSIX_SPAWN_DUP2, output_in, 1),
            ],
        )
        opened.callback(os.waitpid, pid, 0)  # it ends with its input
        opened.callback(os.close, orders)
        os.close(orders_in)
        os.close(output_in)
        yield orders, output


def null_start() -> float:
    """Return what a start takes that starts nothing, seconds."""
    begun = time.monotonic_ns()
    output, theirs = os.pipe()
    reader = MarkReader(output)
    try:
        os.write(theirs, f"{READY}\n".encode())
        return (reader.wait(READY, DEADLINE) - begun) / 1e9
    finally:
        os.close(theirs)
        reader.close()


def row(n: int) -> float:
    """Return what it takes to append one row, seconds."""
    made = Observation("own", "none", "own_cost", 0, "row", "time", "s", 0.0, conditions={"n": n})
    with tempfile.TemporaryDirectory() as folder, Log(Path(folder) / ROWS) as log:
        begun = time.perf_counter()
        for _ in range(n):
            log.append(made)
        return (time.perf_counter() - begun) / n


def waiting_cpu(outputs: int, seconds: float) -> float:
    """Return the share of one core that this process takes while it waits for silent outputs."""
    with ExitStack() as opened:
        for _ in range(outputs):
            output, theirs = os.pipe()
            opened.callback(MarkReader(output).close)
            opened.callback(os.close, theirs)
        before, begun = time.process_time(), time.perf_counter()
        time.sleep(seconds)
        return (time.process_time() - before) / (time.perf_counter() - begun)


if __name__ == "__main__":
    raise SystemExit(main())
