"""What it costs to start `true` and see it end: a plain process, and a labrt container.

    python -m bench.start_cost [--n 200] [--steps] [--json]

Both run the image's own busybox. The two take turns, so a drift of the machine's speed meets both.
The launcher is warm; the container has its full posture (user, mount, pid, network, ipc, uts and
cgroup namespaces, limits, masks, capabilities) and no network but its loopback. `--steps` adds
where the time goes, step by step.
"""

from __future__ import annotations

import argparse
import statistics
import subprocess
import time
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path

import labrt
from bench import standalone
from bench.tables import Table
from labrt.client import Container
from labrt.images import base, layers
from labrt.launching import launcher

Samples = dict[str, list[float]]


def main() -> int:
    parser = argparse.ArgumentParser(prog="bench.start_cost", description=__doc__.splitlines()[0])
    parser.add_argument("--n", type=int, default=200, metavar="N", help="samples of each")
    parser.add_argument("--steps", action="store_true", help="the recipe's share, step by step")
    return standalone.main(parser, _measured)


def _measured(options: argparse.Namespace) -> tuple[Samples, Table]:
    seconds, traced = measure(options.n)
    if options.steps:
        seconds |= of_steps(traced)
    rows = [standalone.quartiles(name, samples) for name, samples in seconds.items()]
    return seconds, Table("Start and end of `true`", ["", "median", "quartiles"], rows)


def measure(n: int) -> tuple[Samples, list[Container]]:
    """Take `n` samples of each, in turns, after a warm-up of five.

    Returns:
        Seconds of each; the containers, which know their steps' times.
    """
    (layer, *_) = layers.unpacked(base.ensure("busybox"))
    launcher()
    seconds: Samples = defaultdict(list)
    traced: list[Container] = []
    for number in range(-5, n):
        sample = {"process": plain(layer), **container(traced)}
        for name, value in sample.items() if number >= 0 else ():
            seconds[name].append(value)
    return seconds, traced


def plain(layer: Path) -> float:
    """Return the seconds from call to exit of the image's `true` as an ordinary process."""
    return elapsed(lambda: subprocess.run([layer / "bin" / "busybox", "true"], check=True))


def container(traced: list[Container]) -> dict[str, float]:
    """Return the seconds from call to exit, and to nothing left, of `true` in a container."""
    begun = time.perf_counter()
    with labrt.run("busybox", ["true"], memory="256m", cpus=1) as c:
        c.wait()
        ended = time.perf_counter()
        c.wait_undone()
    traced.append(c)
    return {"labrt, to exit": ended - begun, "labrt, to nothing left": time.perf_counter() - begun}


def elapsed(call: Callable[[], object]) -> float:
    begun = time.perf_counter()
    call()
    return time.perf_counter() - begun


def of_steps(traced: list[Container]) -> Samples:
    """Return the seconds of each kind of step in each start, the largest first."""
    spent: Samples = defaultdict(list)
    for c in traced:
        total: dict[str, int] = defaultdict(int)
        for timed in c.trace:
            total[timed.name] += timed.duration
        for name, duration in total.items():
            spent[name].append(duration / 1e9)
    return dict(sorted(spent.items(), key=lambda item: -statistics.median(item[1])))


if __name__ == "__main__":
    raise SystemExit(main())
