"""What a container uses, drawn while it runs: a line of text for each look at its cgroup.

Marks instead of colours, and the number before them: a chart for every screen and every reader.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from labrt import usage
from labrt.cgroups import Cgroup
from labrt.errors import LabError
from labrt.handle import Handle
from labrt.usage import Usage

WIDTH = 40  # marks of a full line
MIB = 1 << 20


@dataclass(frozen=True)
class Line:
    """One line of a chart.

    Attributes:
        text: the number, with its unit.
        parts: how much of a full line each mark fills, from the left.
    """

    text: str
    parts: dict[str, float]


@dataclass(frozen=True)
class Chart:
    """A kind of chart.

    Attributes:
        legend: what its marks mean.
        unit: of a full line.
        line: from two looks, one after the other, and what a full line means.
    """

    legend: str
    unit: str
    line: Callable[[Usage, Usage, float], Line]


def watch(
    container: Handle | Cgroup, kind: str, seconds: float, full: float, every: float = 0.25
) -> list[Usage]:
    """Print a line for each look, as it comes; return the looks.

    Args:
        container: a container, or a cgroup.
        kind: "cpu", "memory", "pids" or "io".
        seconds: how long, or until it ends.
        full: what a full line means, in the chart's unit.
        every: seconds between two looks.

    Raises:
        LabError: the container doesn't run, or has no cgroup.
    """
    chart = CHARTS[kind]
    looks = [_look(container)]
    print(f"seconds  {chart.legend}; a full line is {full:g} {chart.unit}", flush=True)
    for look in _more_looks(container, looks[0].time, seconds, every):
        line = chart.line(looks[-1], look, full)
        passed = look.time - looks[0].time
        print(f"{passed:7.2f}  {line.text:>12}  |{bar(line.parts)}|", flush=True)
        looks.append(look)
    return looks


def bar(parts: dict[str, float], width: int = WIDTH) -> str:
    """Return so many marks of each kind, filled up to the line's width, never beyond."""
    text = ""
    for mark, share in parts.items():
        text += mark * max(0, round(width * share))
    return text[:width].ljust(width)


def _more_looks(
    container: Handle | Cgroup, begin: float, seconds: float, every: float
) -> Iterator[Usage]:
    """Look at fixed times from `begin` on, until so many seconds have passed or it is gone."""
    for number in range(1, round(seconds / every) + 1):
        time.sleep(max(0.0, begin + number * every - time.monotonic()))
        try:
            yield _look(container)
        except LabError:
            return  # it ended


def _look(container: Handle | Cgroup) -> Usage:
    return usage.read(container) if isinstance(container, Cgroup) else container.usage()


def _cpu(before: Usage, now: Usage, full: float) -> Line:
    passed = (now.time - before.time) * 1e6
    ran = _more(before.cpu_usec, now.cpu_usec) / passed
    held = _more(before.throttled_usec, now.throttled_usec) / passed
    return Line(f"{ran * 100:.0f} % of a CPU", {"█": ran / full, "░": held / full})


def _memory(before: Usage, now: Usage, full: float) -> Line:
    total = (now.memory or 0) / MIB
    cache = min(total, now.memory_by_kind.file / MIB) if now.memory_by_kind else 0.0
    return Line(f"{total:.1f} MiB", {"█": (total - cache) / full, "▒": cache / full})


def _pids(before: Usage, now: Usage, full: float) -> Line:
    return Line(f"{now.pids or 0} tasks", {"█": (now.pids or 0) / full})


def _io(before: Usage, now: Usage, full: float) -> Line:
    read = _more(before.read_bytes, now.read_bytes) / MIB / (now.time - before.time)
    written = _more(before.written_bytes, now.written_bytes) / MIB / (now.time - before.time)
    return Line(f"{read + written:.1f} MiB/s", {"█": written / full, "▒": read / full})


def _more(before: int | None, now: int | None) -> int:
    return (now or 0) - (before or 0)


CHARTS = {
    "cpu": Chart("█ it ran, ░ it was held back", "CPU", _cpu),
    "memory": Chart("█ its own memory, ▒ cached files", "MiB", _memory),
    "pids": Chart("█ processes and threads", "tasks", _pids),
    "io": Chart("█ written, ▒ read", "MiB a second", _io),
}
