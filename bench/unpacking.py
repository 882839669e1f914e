"""What it costs to unpack a layer: labrt, and tar(1) with the same file.

    python -m bench.unpacking [--image debian] [--rounds 7] [--folder DIR]

The two take turns in the same folder, each after a sync(2), and once before to warm up: the file is
in the page cache, and a drift of the machine's speed meets both. labrt verifies two digests on the
way and starts a process without rights for the layer, which is in its time. Memory is the most that
all processes of one had together, sampled in a turn of its own; labrt's is a Python more.
"""

from __future__ import annotations

import argparse
import os
import stat
import statistics
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from bench.units import text
from labrt import paths
from labrt.errors import LabError
from labrt.images import store, unpacking
from labrt.images.store import Descriptor
from labrt.state import remove_tree

INTERVAL = 0.002  # seconds between two looks at memory


class Cost(NamedTuple):
    """Seconds by the clock, and of all processors together."""

    wall: float
    cpu: float


class Way(NamedTuple):
    """How to unpack: a call to be timed, and a command, for memory."""

    unpack: Callable[[], object]
    command: list[str]


def main() -> int:
    """Measure and print; exit status 1 with one line where the image isn't there."""
    parser = argparse.ArgumentParser(prog="bench.unpacking", description=__doc__.splitlines()[0])
    parser.add_argument("--image", default="debian", help="its largest layer is unpacked")
    parser.add_argument("--rounds", type=int, default=7, metavar="N", help="turns of each")
    parser.add_argument("--folder", help="where to unpack, LAB_HOME by default")
    parser.add_argument("--once", metavar="DIR", help=argparse.SUPPRESS)
    options = parser.parse_args()
    try:
        blob, diff_id = largest(options.image)
        if options.once:
            unpacking.unpack(blob, diff_id, Path(options.once))
            return 0
        with tempfile.TemporaryDirectory(dir=options.folder or paths.home()) as place:
            ways = both(options.image, blob, diff_id, Path(place) / "layer")
            measure(ways, Path(place) / "layer", options.rounds, blob)
    except LabError as error:
        print(f"unpacking: {error}", file=sys.stderr)
        return 1
    return 0


def largest(image: str) -> tuple[Descriptor, str]:
    """Return the image's largest layer and its diff_id."""
    found = store.resolve(image)
    return max(zip(found.layers, found.diff_ids, strict=True), key=lambda pair: pair[0].size)


def both(image: str, blob: Descriptor, diff_id: str, target: Path) -> dict[str, Way]:
    # tar finds out the compression for itself, and runs gzip or zstd beside it.
    untar = f'mkdir "{target}" && exec tar -C "{target}" -xpf "{store.blob_path(blob.digest)}"'
    shell = ["sh", "-c", untar]
    once = [sys.executable, "-m", "bench.unpacking", "--image", image, "--once", str(target)]
    return {
        "tar -xp": Way(lambda: subprocess.run(shell, check=True), shell),
        "labrt": Way(lambda: unpacking.unpack(blob, diff_id, target), once),
    }


def measure(ways: dict[str, Way], target: Path, rounds: int, blob: Descriptor) -> None:
    """Take `rounds` turns of each and one for memory; print medians."""
    costs: dict[str, list[Cost]] = defaultdict(list)
    for number in range(-1, rounds):
        for name, way in ways.items():
            cost = cost_of(way.unpack)
            remove_tree(target)
            if number >= 0:
                costs[name].append(cost)
    peaks = {}
    for name, way in ways.items():
        peaks[name] = peak(way.command)
        found = map(os.lstat, target.rglob("*"))
        files = [each.st_size for each in found if stat.S_ISREG(each.st_mode)]
        remove_tree(target)
    kind = blob.media_type.rpartition(".")[2]
    print(f"{text(blob.size, 'B')} of {kind}, {len(files)} files of {text(sum(files), 'B')}")
    show(costs, peaks)


def cost_of(unpack: Callable[[], object]) -> Cost:
    os.sync()
    cpu, wall = processors(), time.perf_counter()
    unpack()
    return Cost(time.perf_counter() - wall, processors() - cpu)


def processors() -> float:
    """Seconds of processor time, of this process and its children that have ended."""
    return sum(os.times()[:4])


def peak(command: list[str]) -> int:
    """Run a command; return the most bytes of RSS that it and its children had together."""
    import psutil

    most = 0
    with psutil.Popen(command) as process:
        while process.poll() is None:
            most = max(most, sum(map(memory, [process, *process.children(recursive=True)])))
            time.sleep(INTERVAL)
    return most


def memory(process: object) -> int:
    import psutil

    try:
        rss: int = process.memory_info().rss  # type: ignore[attr-defined]
        return rss
    except psutil.NoSuchProcess:
        return 0


def show(costs: dict[str, list[Cost]], peaks: dict[str, int]) -> None:
    base = Cost(*map(statistics.median, zip(*costs["tar -xp"], strict=True)))
    print(f"{'':8} {'seconds':>8} {'(least – most)':>15} {'CPU s':>7} {'peak RSS':>10}   ratios")
    for name, found in costs.items():
        middle = Cost(*map(statistics.median, zip(*found, strict=True)))
        walls = [cost.wall for cost in found]
        extent = f"{min(walls):.2f} – {max(walls):.2f}"
        print(
            f"{name:8} {middle.wall:8.2f} {extent:>15} {middle.cpu:7.2f}"
            f" {text(peaks[name], 'B'):>10}   {middle.wall / base.wall:.2f} by the clock,"
            f" {middle.cpu / base.cpu:.2f} of the processors"
        )


if __name__ == "__main__":
    raise SystemExit(main())
