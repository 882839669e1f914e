"""Limits, shown: what each kind of instance got, beside what it may have."""

from __future__ import annotations

from collections import Counter
from typing import Any

from bench import plots, statistics, tables, units
from bench.tables import Table
from bench.views.base import Picture, Rows, View

PARTS = (("memory", "taken"), ("cpu", "share"))


def table(rows: Rows) -> Table:
    """One line per subject."""
    shown = Table(
        "Limits: what an instance got that asked for more",
        ["", "memory", "limit", "CPUs", "limit", "held back", "n", "failed"],
    )
    numbers = []
    for subject in statistics.subjects(rows):
        name = statistics.title(rows, subject)
        memory, cpu, held = (
            tables.summary(rows, subject, *part) for part in (*PARTS, ("cpu", "throttled"))
        )
        shown.rows.append(
            [
                name,
                tables.middle(memory),
                _limit(rows, "memory", "B"),
                tables.middle(cpu),
                _limit(rows, "cpu", "1"),
                tables.NOTHING if held.median is None else f"{100 * held.median:.0f} %",
                *tables.counts(memory),
            ]
        )
        shown.notes += [f"{name}, memory: {_outcomes(rows, subject)}."]
        numbers.append((f"{name}, CPUs", cpu))
    shown.notes += tables.told(numbers)
    shown.notes.append(
        "Held back: the share of cpu.max's periods in which it had used up its quota; a VM has no "
        "quota, only so many virtual CPUs."
    )
    return shown


def _limit(rows: Rows, phase: str, unit: str) -> str:
    mine = statistics.select(rows, phase=phase, status="ok")
    return units.text(float(mine[0].conditions["limit"]), unit) if mine else tables.NOTHING


def _outcomes(rows: Rows, subject: str) -> str:
    """Say how its demand for memory ended, and how often."""
    mine = statistics.select(rows, subject=subject, phase="memory", status="ok")
    ends = Counter(str(row.conditions["outcome"]) for row in mine)
    said = {"killed": "killed for want of memory", "refused": "refused", "had": "it had all"}
    return ", ".join(f"{said.get(end, end)} {n} ×" for end, n in ends.items()) or "no sample"


def panels(band: Any, rows: Rows) -> None:
    """Two panels: what each got of memory and of CPU, and where the limit is."""
    names = statistics.subjects(rows)
    both = band.subplots(1, 2, sharey=True)
    for axes, (phase, metric) in zip(both, PARTS, strict=True):
        mine = statistics.select(rows, phase=phase, metric=metric, status="ok")
        axes.set_title({"memory": "Memory it had when stopped", "cpu": "CPUs it took"}[phase])
        axes.grid(axis="x", color="#dddddd")
        if not mine:
            continue
        unit = mine[0].unit
        limit = float(mine[0].conditions["limit"])
        for place, subject in enumerate(names):
            _dots(axes, place, rows, subject, phase, metric)
        axes.axvline(limit, color=plots.BLACK, linestyle=(0, (4, 2)))
        axes.annotate(
            f"limit {units.text(limit, unit)}",
            (limit, -0.7),
            xytext=(5, 0),
            textcoords="offset points",
            va="center",
        )
        axes.set_xlim(0, limit * 1.4)
        axes.set_xticks([limit * quarter / 4 for quarter in range(6)])
        axes.xaxis.set_major_formatter(lambda value, _, unit=unit: units.text(value, unit))
    both[0].set_yticks(range(len(names)), [statistics.title(rows, name) for name in names])
    both[0].set_ylim(len(names) - 0.5, -0.95)


def _dots(axes: Any, place: int, rows: Rows, subject: str, phase: str, metric: str) -> None:
    found = tables.summary(rows, subject, phase, metric)
    samples = statistics.ok(statistics.select(rows, subject=subject, phase=phase, metric=metric))
    if found.median is None:
        return
    colour, marker, _ = plots.look(rows, subject)
    axes.plot(samples, [place] * len(samples), "|", color=plots.GREY, markersize=14)
    axes.plot(found.median, place, marker, color=colour, markersize=11)
    axes.annotate(
        tables.middle(found),
        (found.median, place),
        xytext=(0, 12),
        textcoords="offset points",
        ha="center",
        fontweight="bold",
        bbox={"facecolor": "white", "edgecolor": "none", "pad": 1},  # the limit runs through it
    )


def _any(rows: Rows) -> bool:
    return bool(statistics.ok(rows))


VIEW = View(
    table,
    pictures={
        "limits": Picture(
            panels,
            _any,
            "Each mark is a median, each stroke one instance; the dashed line is the limit.",
        )
    },
)
