"""Every sample of a time: how they spread, as curves and in numbers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from bench import plots, statistics, tables, units
from bench.observations import Observation
from bench.tables import Table


def ecdf(band: Any, rows: Sequence[Observation], phase: str, title: str, since: str) -> None:
    """Empirical distribution functions. A failure is a try that never was over: its curve ends
    below 100 %."""
    import numpy as np

    axes = band.subplots(1, 1)
    axes.set_xscale("log")
    for subject in statistics.subjects(rows):
        mine = statistics.select(rows, subject=subject, phase=phase)
        values = np.sort(statistics.ok(mine))
        if not len(values):
            continue
        colour, marker, line = plots.look(rows, subject)
        share = 100 * np.arange(1, len(values) + 1) / len(mine)
        few = len(values) < 60  # then each sample gets its mark
        axes.step(
            np.concatenate([values[:1], values]),
            np.concatenate([[0], share]),
            where="post",
            color=colour,
            linestyle=line,
            linewidth=2,
            marker=marker if few else None,
            markersize=5,
            label=_ecdf_label(rows, subject, phase, len(mine)),
        )
    axes.axhline(50, color=plots.GREY, linestyle=(0, (1, 2)))
    axes.set_ylim(0, 103)
    axes.set_yticks([0, 25, 50, 75, 100], ["0 %", "25 %", "half", "75 %", "all"])
    axes.xaxis.set_major_formatter(lambda value, _: units.text(value, "s"))
    axes.set_title(title)
    axes.set_xlabel(f"time {since}, logarithmic")
    axes.grid(color="#dddddd")
    band.legend(loc="outside upper left", ncols=1, frameon=False)


def _ecdf_label(rows: Sequence[Observation], subject: str, phase: str, tries: int) -> str:
    found = tables.summary(rows, subject, phase, "time")
    failed = f", {found.failed} failed" if found.failed else ""
    name = statistics.title(rows, subject)
    return f"{name}: median {tables.middle(found)}, {tries} tries{failed}"


def spread(rows: Sequence[Observation], phase: str) -> Table:
    """How the samples of a time spread: what the curves of all samples show, in numbers."""
    shown = Table(
        "How the samples spread",
        ["", "least", "25 %", "median", "75 %", "p95", "p99", "most", "n", "failed"],
    )
    for subject in statistics.subjects(rows):
        found = tables.summary(rows, subject, phase, "time")
        values = statistics.ok(statistics.select(rows, subject=subject, phase=phase))
        least, low, middling, high, most = statistics.quartiles(values) or (None,) * 5
        points = (least, low, middling, high, found.p95, found.p99, most)
        cells = [tables.NOTHING if each is None else units.text(each, "s") for each in points]
        shown.rows.append([statistics.title(rows, subject), *cells, *tables.counts(found)])
    if any(tables.NOTHING in row[5:7] for row in shown.rows):
        shown.notes.append(
            "A tail percentile is given where n carries it: with 95 % confidence at least one "
            "sample lies above it, which takes 59 samples for p95 and 299 for p99."
        )
    return shown
