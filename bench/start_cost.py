"""What it costs to start `true` and see it end: a plain process, and a labrt container.

    python -m bench.start_cost [--n 200] [--steps]

Both run the image's own busybox. The two take turns, so a drift of the machine's speed meets both.
The launcher is warm; the container has its full posture (user, mount, pid, network, ipc, uts and
cgroup namespaces, limits, masks, capabilities) and no network but its loopback. `--steps` adds
where the time goes, step by step.
"""

from __future__ import annotations

import argparse
import statistics
import subprocess
import sys
import time
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path

import labrt
from labrt.client import Container
from labrt.errors import LabError
from labrt.images import base, layers
from labrt.launching import launcher


def main() -> int:
    """Measure and print; exit status 1 with one line where no container can be started."""
    parser = argparse.ArgumentParser(prog="bench.start_cost", description=__doc__.splitlines()[0])
    parser.add_argument("--n", type=int, default=200, metavar="N", help="samples of each")
    parser.add_argument("--steps", action="store_true", help="the recipe's share, step by step")
    options = parser.parse_args()
    try:
        measure(options.n, options.steps)
    except LabError as error:
        print(f"start_cost: {error}", file=sys.stderr)
        return 1
    return 0


def measure(n: int, steps: bool) -> None:
    """Take `n` samples of each, in turns, after a warm-up of five; print medians in ms."""
    (layer, *_) = layers.unpacked(base.ensure("busybox"))
    launcher()
    seconds: dict[str, list[float]] = defaultdict(list)
    traced: list[Container] = []
    for number in range(-5, n):
        sample = {"process": plain(layer), **container(traced)}
        if number >= 0:
            for name, value in sample.items():
                seconds[name].append(value)
    for name in ("process", "labrt, to exit", "labrt, to nothing left"):
        low, _, high = statistics.quantiles(seconds[name], n=4)
        middle = statistics.median(seconds[name])
        print(
            f"{name:24} median {middle * 1e3:6.2f} ms   quartiles {low * 1e3:.2f} {high * 1e3:.2f}"
        )
    if steps:
        print_steps(traced)


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


def print_steps(traced: list[Container]) -> None:
    """Print each kind of step's median share of a start, in µs, the largest first."""
    spent: dict[str, list[int]] = defaultdict(list)
    for c in traced:
        total: dict[str, int] = defaultdict(int)
        for timed in c.trace:
            total[timed.name] += timed.duration
        for name, duration in total.items():
            spent[name].append(duration)
    for name, durations in sorted(spent.items(), key=lambda item: -statistics.median(item[1])):
        print(f"  {name:26} {statistics.median(durations) / 1e3:8.1f} µs")


if __name__ == "__main__":
    raise SystemExit(main())
