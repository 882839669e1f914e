"""Ways to do one thing, measured in turns and told as ratios: what `runtimes` and `oci` share.

In each round the ways take turns in an order drawn anew, so a drift of the machine's speed meets
all of them. The ratios are of medians, with bootstrap intervals; `p` is a permutation test of the
ranks (`statistics.compare`).
"""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from bench import statistics, units
from bench.observations import Observation
from bench.tables import Table

WARM_UPS = 2

# One time it is done: the seconds from call to exit, by the way's name.
Way = Callable[[], dict[str, float]]


def in_turns(
    run: str, ways: Sequence[Way], rounds: int, conditions: Mapping[str, Any]
) -> list[Observation]:
    """Take `rounds` samples of each way, after a warm-up of two.

    Args:
        run: what the run and its experiment are called.
    """
    draw = random.Random(statistics.SEED)
    rows: list[Observation] = []
    for sample in range(-WARM_UPS, rounds):
        for way in draw.sample(ways, len(ways)):
            stamps = {**conditions, "warmup": sample < 0}
            rows += [_row(run, name, sample, took, stamps) for name, took in way().items()]
    return rows


def _row(
    run: str, name: str, sample: int, seconds: float, conditions: dict[str, Any]
) -> Observation:
    return Observation(
        run=run,
        subject=name,
        experiment=run,
        sample=sample,
        phase="call to exit",
        metric="time",
        unit="s",
        value=seconds,
        conditions=conditions,
    )


def figures(
    rows: list[Observation], against: Mapping[str, str], targets: Mapping[str, float]
) -> dict[str, dict[str, Any]]:
    """Return, by way: n, median and quartiles in seconds; and, for those that are compared, the
    ratio to the other's median with its 95 % interval, p and target.

    Args:
        against: a way → the one that it is compared with.
        targets: how much of the other's time it may take at most.
    """
    found = {}
    for name in statistics.subjects(rows):
        mine = statistics.select(rows, subject=name)
        summary = statistics.summarise(mine)
        told: dict[str, Any] = {
            "n": summary.n,
            "median": summary.median,
            "low": summary.low,
            "high": summary.high,
        }
        if name in against:
            compared = statistics.compare(mine, statistics.select(rows, subject=against[name]))
            told |= {"against": against[name], "ratio": compared.ratio}
            told |= {"ratio_low": compared.low, "ratio_high": compared.high}
            told |= {"p": compared.p, "target": targets.get(name)}
        found[name] = told
    return found


def table(found: dict[str, dict[str, Any]], title: str, notes: list[str]) -> Table:
    """Return the figures as a table: each way that others are compared with, then these."""
    columns = ["", "median", "95 %", "×", "95 %", "target", "n"]
    shown = Table(title, columns, notes=notes)

    def place(name: str) -> tuple[float, bool, float]:
        reference = found[name].get("against", name)
        return found[reference]["median"], name != reference, found[name]["median"]

    for name in sorted(found, key=place):
        shown.rows.append([name, *_cells(found[name])])
    return shown


def _cells(figures: dict[str, Any]) -> list[str]:
    time = units.text(figures["median"], "s")
    span = units.span(figures["low"], figures["high"], "s")
    if "ratio" not in figures:
        return [time, span, "1", "", "", str(figures["n"])]
    ratios = [f"{figures[key]:.2f}" for key in ("ratio", "ratio_low", "ratio_high")]
    target = f"≤ {figures['target']}" if figures["target"] else ""
    return [time, span, ratios[0], " – ".join(ratios[1:]), target, str(figures["n"])]
