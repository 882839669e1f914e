"""Two runs, number by number: is the second worse than the first?

Only like is compared with like: the same subject, experiment, phase and metric under the same
conditions (image digest, CPUs, memory, workload, accelerator, machine, posture, …, and host).
Whatever differs is named and not compared. Readings along a ramp are left out: they are the points
of a curve, not samples of one number.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from bench import statistics, tables, units, variants
from bench.observations import Observation
from bench.statistics import Comparison, Summary
from bench.tables import NOTHING, Table
from labrt.errors import LabError

CONDITIONS = (*statistics.FAIR, *statistics.SAME_SUBJECT)

# (experiment, phase) of rows that are points of a curve.
CURVES = {
    *(("memory", "ramp"), ("density", "ramp"), ("density", "T0-T3"), ("density", "bench")),
    *(("scale-out", "out"), ("scale-out", "in")),
}

# Subject, experiment, phase, metric, and what isn't usual of the conditions that a run may vary.
KEYS = ("subject", "experiment", "phase", "metric", "under")
Number = tuple[str, str, str, str, str]


@dataclass(frozen=True)
class Line:
    """One number in both runs.

    Attributes:
        a, b: the number in each run; None where the run hasn't got it.
        found: b compared with a; None where that can't be done.
        refused: why it can't, or "".
    """

    number: Number
    a: Summary | None
    b: Summary | None
    found: Comparison | None = None
    refused: str = ""

    @property
    def worse_by(self) -> float:
        """By how many percent of itself b is worse than a (negative: better)."""
        if self.found is None:
            return 0.0
        ratio = self.found.ratio if self._less_is_better else 1 / self.found.ratio
        return 100 * (ratio - 1)

    @property
    def _less_is_better(self) -> bool:
        unit = (self.a or self.b or Summary(0, 0, "", None, None, None)).unit
        return not unit.endswith("/s") and self.number[3] != "instances"

    @property
    def broken(self) -> bool:
        """True if what a has measured fails in b, every time."""
        return bool(self.a and self.a.n and self.b and not self.b.n and self.b.failed)

    @property
    def verdict(self) -> str:
        """Return the outcome in a word or two."""
        if self.broken:
            return "fails"
        if self.refused:
            return self.refused
        if self.a is None or self.b is None or self.found is None:
            return f"only in {'B' if self.a is None else 'A'}"
        if not self.found.different:
            return "too few" if self.found.few else "alike"
        return "worse" if self.worse_by > 0 else "better"

    def worse_than(self, percent: float) -> bool:
        """True if b is called different from a and is worse by more than so much, or fails."""
        called = self.found is not None and self.found.different
        return self.broken or (called and self.worse_by > percent)


def compare(
    a: Sequence[Observation], b: Sequence[Observation], across_hosts: bool = False
) -> list[Line]:
    """Compare two runs.

    Args:
        across_hosts: compare although the hosts differ.

    Raises:
        Unfair: the hosts differ; also where that is no matter, if one run has several.
    """
    keys = tuple(key for key in CONDITIONS if not (across_hosts and key == "host"))
    for rows in (a, b) if across_hosts else ([*a, *b],):
        statistics.check_fair(rows, ["host"])
    varied = _varied(a) | _varied(b)
    numbers_a, numbers_b = _numbers(a, varied), _numbers(b, varied)
    return [
        _line(number, numbers_a.get(number, []), numbers_b.get(number, []), keys)
        for number in {**numbers_a, **numbers_b}
    ]


def _numbers(rows: Sequence[Observation], varied: set[str]) -> dict[Number, list[Observation]]:
    found: dict[Number, list[Observation]] = {}
    for row in rows:
        if not row.warmup and (row.experiment, row.phase) not in CURVES:
            told = variants.unusual(row.conditions, {*statistics.CROSSED, *varied})
            under = variants.label(row.conditions, told)
            number = (row.subject, row.experiment, row.phase, row.metric, under)
            found.setdefault(number, []).append(row)
    return found


def _varied(rows: Sequence[Observation]) -> set[str]:
    """Return which limits a run has varied; one that is the same all over must be so in both."""
    return set(variants.differing([row.conditions for row in rows], ("cpus", "memory")))


def _line(number: Number, a: list[Observation], b: list[Observation], keys: Sequence[str]) -> Line:
    try:
        statistics.check_fair([*a, *b], keys)
        line = Line(number, _summary(a), _summary(b))
        if not a or not b or line.broken:
            return line
        return Line(number, line.a, line.b, statistics.compare(b, a, keys))
    except statistics.Unfair as error:
        return Line(number, None, None, refused=f"unlike: {error.condition} differs")
    except LabError as error:
        return Line(number, line.a, line.b, refused=f"not tested: {error.answer}")


def _summary(rows: list[Observation]) -> Summary | None:
    if not rows:
        return None
    failed = len(statistics.failures(rows))
    return statistics.summary_of(statistics.ok(rows), failed, rows[0].unit)


def table(lines: Sequence[Line], notes: Sequence[str] = ()) -> Table:
    """Return the comparison as a table."""
    columns = ["number", "A", "B", "B / A (95 %)", "p", "n", "verdict"]
    shown = Table("B compared with A, medians", columns)
    shown.rows = [_row(line) for line in lines]
    shown.notes = [*notes, *_failed(lines), *_doubts(lines)]
    if tested := sum(line.found is not None for line in lines):
        shown.notes.append(
            f"Alike: no difference was found. Called different: p < {statistics.ALPHA:g} and "
            f"medians at least {100 * statistics.FLOOR:g} % apart. Chance alone would bring p so "
            f"low in {tested * statistics.ALPHA:.1g} of these {tested} comparisons."
        )
    return shown


def _row(line: Line) -> list[str]:
    each = [line.a, line.b]
    return [
        name(line.number),
        *(NOTHING if found is None else tables.middle(found) for found in each),
        *_ratio(line.found),
        " / ".join(NOTHING if found is None else str(found.n) for found in each),
        line.verdict,
    ]


def _ratio(found: Comparison | None) -> tuple[str, str]:
    if found is None:
        return NOTHING, NOTHING
    span = f"({units.digits(found.low)} – {units.digits(found.high)})"
    p = tables.p_text(found.p).removeprefix("p ").removeprefix("= ")
    return f"{units.digits(found.ratio)} {span}", p


def _failed(lines: Sequence[Line]) -> list[str]:
    return [
        f"{name(line.number)}: {line.a.failed} failed in A, {line.b.failed} in B."
        for line in lines
        if line.a and line.b and line.a.failed + line.b.failed
    ]


def name(number: Number) -> str:
    """Name a number: "labrt startup T0-T3"; "time" and repetitions go without saying."""
    words = (word for word in dict.fromkeys(number) if word not in ("time", ""))
    return " ".join(words).replace("_", " ")  # a narrow column breaks lines at blanks alone


def _doubts(lines: Sequence[Line]) -> list[str]:
    numbers = [
        (f"{run}, {name(line.number)}", found)
        for line in lines
        if line.found is not None
        for run, found in (("A", line.a), ("B", line.b))
        if found is not None
    ]
    return tables.told(numbers)


def figures(lines: Sequence[Line]) -> list[dict[str, Any]]:
    """Return the comparison for programs (JSON types only)."""
    return [
        dict(zip(KEYS, line.number, strict=True))
        | {"verdict": line.verdict, "worse_by_percent": _number(line.worse_by)}
        | {f"{key}_a": getattr(line.a, key, None) for key in ("n", "failed", "median")}
        | {f"{key}_b": getattr(line.b, key, None) for key in ("n", "failed", "median")}
        | {key: getattr(line.found, key, None) for key in ("ratio", "low", "high", "p")}
        for line in lines
    ]


def _number(value: float) -> float | None:
    return value if math.isfinite(value) else None
