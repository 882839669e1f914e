"""A/A: a subject compared with itself. Whatever is called different then is called so by mistake.

Two subjects that differ in nothing but their name take turns in random order, as any two subjects
do, and their samples are cut into comparisons. Each is made as for two subjects that differ.
"""

from __future__ import annotations

from collections.abc import Sequence
from statistics import median
from typing import Any

from bench import statistics, tables, units
from bench.observations import Observation
from bench.statistics import Comparison
from bench.tables import Table

SIDES = ("a", "b")
ONE_IN = 20  # comparisons of which one may be called different


def names(subject: str) -> list[str]:
    """Return what the two are called."""
    return [f"{subject}-{side}" for side in SIDES]


def allowed(count: int) -> int:
    """Return how many of so many comparisons may be called different: one in twenty, at least one.

    Chance alone exceeds one of twenty in 1.7 % of the checks (binomial, p < 0.01 each), and less
    often still for the least effect that is asked for besides (`statistics.FLOOR`).
    """
    return max(1, count // ONE_IN)


def comparisons(rows: Sequence[Observation], subject: str, n: int) -> list[Comparison]:
    """Compare the two, `n` samples of each at a time, in the order in which they were taken.

    Raises:
        LabError: fewer than two samples of a comparison succeeded.
    """
    a, b = (statistics.select(rows, phase="T0-T3", subject=name) for name in names(subject))
    return [
        statistics.compare(_of(a, number, n), _of(b, number, n))
        for number in sorted({row.sample // n for row in [*a, *b]})
    ]


def _of(rows: Sequence[Observation], number: int, n: int) -> list[Observation]:
    return [row for row in rows if row.sample // n == number]


def table(found: Sequence[Comparison], title: str, failed: int) -> Table:
    """Return the comparisons as a table, with the verdict under it."""
    shown = Table(
        f"{title}, compared with itself", ["", "A / B", "95 % interval", "p", "n", "verdict"]
    )
    for number, each in enumerate(found, start=1):
        span = f"{units.digits(each.low)} – {units.digits(each.high)}"
        p = tables.p_text(each.p).removeprefix("p ").removeprefix("= ")
        verdict = "different" if each.different else "alike"
        n = f"{each.n_a} / {each.n_b}"
        shown.rows.append([str(number), units.digits(each.ratio), span, p, n, verdict])
    different = sum(each.different for each in found)
    reach = median(max(each.high - 1, 1 - each.low) for each in found)
    shown.notes = [
        f"{different} of {len(found)} called different, at most {allowed(len(found))} may be; "
        f"{failed} starts failed.",
        f"Half of these intervals reach {100 * reach:.0f} % from 1 or further: smaller differences "
        "can't be told with so many samples on this host.",
    ]
    return shown


def figures(found: Sequence[Comparison], failed: int) -> dict[str, Any]:
    """Return the outcome for programs (JSON types only)."""
    return {
        "comparisons": [
            {key: getattr(each, key) for key in ("ratio", "low", "high", "p", "different")}
            for each in found
        ],
        "different": sum(each.different for each in found),
        "allowed": allowed(len(found)),
        "failed": failed,
    }
