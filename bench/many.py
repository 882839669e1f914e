"""Many containers alive at once: how long until all are up, and gone; and what one more takes.

    python -m bench.many [--count 500] [--rungs 10] [--json]

First labrt, from the library, then runc with the same containers (`oci_bundle.py`; detached, so
that no process of runc's stays): `sleep` in full posture with limits. After each rung of containers
the host's MemAvailable is read, on the way up and on the way down, so that a drift of the host
cancels out. Memory per container is the slope of it (Theil-Sen: the median of the slopes between
all pairs of points, which a few outliers don't move).
"""

from __future__ import annotations

import argparse
import os
import resource
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager

import labrt
from bench import interrupts, meminfo, oci_bundle, standalone, statistics, units
from bench.observations import Observation
from bench.oci_runtime import runc
from bench.runtimes import LIMITS
from bench.tables import Table
from labrt import syscalls
from labrt.declare import declare
from labrt.images import base, store
from labrt.launching import launcher
from labrt.options import given

PROGRAM = ["sleep", "100000"]
SETTLE = 0.5  # seconds before the host's memory is read

# Starts one container, which ends with its block.
Start = Callable[[], AbstractContextManager[object]]


def main() -> int:
    parser = argparse.ArgumentParser(prog="bench.many")
    parser.add_argument("--count", type=int, default=500, metavar="N", help="containers at once")
    parser.add_argument("--rungs", type=int, default=10, metavar="N", help="readings on the way")
    return standalone.main(parser, _measured)


def _measured(options: argparse.Namespace) -> tuple[dict[str, dict[str, float]], Table]:
    oci_bundle.keep_mounts_private()
    found = measure(options.count, options.rungs)
    return found, table(options.count, found)


def measure(count: int, rungs: int) -> dict[str, dict[str, float]]:
    """Start and end `count` containers of each kind, in `rungs` portions.

    Returns:
        For "labrt" and "runc": seconds "up" and "down", and the bytes "per_container" with their
        95 % interval, "low" and "high".

    Raises:
        LabError: a container could not be started or ended; all are gone.
    """
    base.ensure("busybox")
    _allow_many_descriptors()
    launcher()
    syscalls.prctl(syscalls.PR_SET_CHILD_SUBREAPER, 1)  # runc's containers: ours to reap, at once
    try:
        return {
            "labrt": _measure_one(by_labrt, count, rungs),
            "runc": _measure_one(by_runc, count, rungs),
        }
    finally:
        syscalls.prctl(syscalls.PR_SET_CHILD_SUBREAPER, 0)


def _allow_many_descriptors() -> None:
    """A container takes two of ours and some of the launcher's, which inherits the limit."""
    _soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def by_labrt() -> AbstractContextManager[object]:
    return labrt.run("busybox", PROGRAM, **LIMITS)


@contextmanager
def by_runc() -> Iterator[None]:
    spec = declare(store.resolve("busybox"), PROGRAM, given(**LIMITS))
    with oci_bundle.mounted(spec) as bundle:
        pid = runc.start(bundle)
        try:
            yield
        finally:
            runc.delete(bundle)
            os.waitpid(pid, 0)


def _measure_one(start: Start, count: int, rungs: int) -> dict[str, float]:
    up, down = 0.0, 0.0
    readings: list[Observation] = []
    running: list[ExitStack] = []
    try:
        for number in range(rungs):
            running.append(ExitStack())
            up += _climb(
                running[-1], start, count * (number + 1) // rungs - count * number // rungs
            )
            readings.append(_weigh(count * (number + 1) // rungs))
        while running:
            down += _descend(running.pop())
            readings.append(_weigh(count * len(running) // rungs))
    finally:
        for rung in running:
            _descend(rung)
    slope = statistics.robust_slope(readings)
    weight = {"per_container": -slope.per_instance, "low": -slope.high, "high": -slope.low}
    return {"up": up, "down": down, **weight}


def _climb(rung: ExitStack, start: Start, count: int) -> float:
    """Start `count` containers; return the seconds it took."""
    begun = time.perf_counter()
    for _ in range(count):
        with interrupts.held():
            rung.enter_context(start())
    return time.perf_counter() - begun


def _descend(rung: ExitStack) -> float:
    """End a rung's containers, last one first; return the seconds it took."""
    begun = time.perf_counter()
    with interrupts.held():
        rung.close()
    return time.perf_counter() - begun


def _weigh(instances: int) -> Observation:
    time.sleep(SETTLE)
    return Observation(
        run="many",
        subject="host",
        experiment="many",
        sample=instances,
        phase="ramp",
        metric="mem_available",
        unit="B",
        value=meminfo.available(),
        conditions={"instances": instances},
    )


def table(count: int, found: dict[str, dict[str, float]]) -> Table:
    """Return the figures as a table."""
    columns = ["", "up", "down", "memory of each", "95 % interval"]
    shown = Table(f"{count} containers alive at once", columns)
    for name, figures in found.items():
        times = [units.text(figures[key], "s") for key in ("up", "down")]
        memory = units.text(figures["per_container"], "B")
        span = units.span(figures["low"], figures["high"], "B")
        shown.rows.append([name, *times, memory, span])
    ratio = found["labrt"]["per_container"] / found["runc"]["per_container"]
    shown.notes.append(f"A container of labrt takes {ratio:.2f} times the memory of one of runc.")
    return shown


if __name__ == "__main__":
    raise SystemExit(main())
