"""The steps of a container that runs: what each did, why, and how long it took."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import groupby

from labrt.client import Container
from labrt.lessons.shown import Shown, paragraph, table, told
from labrt.perform import Timed
from labrt.recipe import recipe
from labrt.step import Step


@dataclass(frozen=True)
class Line:
    """Steps of one kind that follow each other."""

    side: str
    name: str
    count: int
    man: str
    reason: str
    microseconds: float


def recipe_table(container: Container) -> Shown:
    """Return the container's recipe as two tables, with the time that each part of it took."""
    lines = merged(recipe(container.spec), container.trace)
    steps = sum(line.count for line in lines)
    total = f"{steps} steps, {start_milliseconds(container):.1f} ms from the call to the program."
    return (
        told("On the host, up to the new process", [])
        + _table([line for line in lines if line.side == "host"])
        + told("In the new process, up to the program", [])
        + _table([line for line in lines if line.side == "container"])
        + paragraph(total)
    )


def _table(lines: list[Line]) -> Shown:
    rows = [(f"{_counted(line)}, {line.man}", _spent(line), line.reason) for line in lines]
    return table(("step, man page", "µs", "why"), rows)


def start_milliseconds(container: Container) -> float:
    """Return the time from the call of `labrt.run` to execve(2) of the program."""
    last = container.trace[-1]
    return (last.start + last.duration - container.called) / 1e6


def merged(steps: list[Step], trace: list[Timed]) -> list[Line]:
    """Join the steps with their times and merge equal neighbours.

    Args:
        steps: the recipe. Its last, `Exec`, has no time: what could tell it is gone by then.
        trace: as `labrt.perform.perform` returns it, host side first.
    """
    in_time = sorted(steps, key=lambda step: step.side == "container")
    spent = [timed.duration / 1000 for timed in trace] + [0.0]
    pairs = list(zip(in_time, spent, strict=True))
    groups = groupby(pairs, key=lambda pair: (pair[0].name, pair[0].man, pair[0].reason))
    return [_line(list(group)) for _, group in groups]


def _line(group: list[tuple[Step, float]]) -> Line:
    step = group[0][0]
    spent = sum(microseconds for _, microseconds in group)
    return Line(step.side, step.name, len(group), step.man, step.reason, spent)


def _spent(line: Line) -> str:
    return f"{line.microseconds:.0f}" if line.microseconds else "?"


def _counted(line: Line) -> str:
    return line.name if line.count == 1 else f"{line.name} × {line.count}"
