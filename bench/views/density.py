"""Density, shown: how many, which rule said stop, and the way there."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from bench import plots, published, statistics, tables, units
from bench.observations import Observation
from bench.tables import Table
from bench.views import _published
from bench.views.base import Picture, View, measured


def table(rows: Sequence[Observation]) -> Table:
    """How many, and which rule said stop."""
    shown = Table(
        "Density: instances until a declared rule fired; first and last start",
        ["", "instances", "rule", "first", "last", "one more", "failed"],
    )
    for subject in statistics.subjects(rows):
        mine = [row for row in rows if row.subject == subject]
        reached = statistics.select(mine, phase="reached", status="ok")
        starts = statistics.ok(statistics.select(mine, phase="T0-T3"))
        used = tables.memory_used(mine)
        shown.rows.append(
            [
                statistics.title(rows, subject),
                f"{reached[0].value:.0f}" if reached else tables.NOTHING,
                str(reached[0].conditions["rule"]) if reached else tables.NOTHING,
                units.text(starts[0], "s") if starts else tables.NOTHING,
                units.text(starts[-1], "s") if starts else tables.NOTHING,
                tables.slope_text(tables.memory_slope(rows, subject, "density")),
                str(len(statistics.failures(mine))),
            ]
        )
        fell = _fell(used[-1][1]) if used else ""
        shown.notes += [
            f"{statistics.title(rows, subject)}: {row.conditions['rule_text']}{fell}."
            for row in reached
        ]
        shown.notes += tables.slope_notes(rows, subject, "density")
        shown.notes += _bench(mine)
    shown.notes.append(
        "one more: by how much the host's MemAvailable falls with one more instance (slope of a "
        "regression ± half of its 95 % interval)."
    )
    told = {str(row.conditions.get("pressure", "watched")) for row in rows}
    shown.notes += [f"Pressure is no rule here: {why}." for why in sorted(told - {"watched"})]
    return shown


def _fell(size: float) -> str:
    """Say what the host's memory did meanwhile."""
    return f"; MemAvailable {'fell' if size >= 0 else 'rose'} by {units.text(abs(size), 'B')}"


def _bench(rows: Sequence[Observation]) -> list[str]:
    """Say what the bench took while all of them idled."""
    cpu, rss = (
        statistics.ok(statistics.select(rows, phase="bench", metric=metric))
        for metric in ("cpu", "rss")
    )
    if not cpu or not rss:
        return []
    title = rows[0].conditions.get("title", rows[0].subject)
    return [
        f"{title}: while all of them idled, the bench itself took {100 * cpu[0]:.2g} % of one CPU "
        f"and {units.text(rss[0], 'B')}."
    ]


def ramps(band: Any, rows: Sequence[Observation]) -> None:
    """Start time and the host's memory over the number of instances, with where each stopped."""
    left, right = band.subplots(1, 2)
    most = 0.0
    for subject in statistics.subjects(rows):
        mine = [row for row in rows if row.subject == subject]
        starts = [
            (float(row.conditions["instances"]), row.value)
            for row in statistics.select(mine, phase="T0-T3", status="ok")
            if row.value is not None
        ]
        used = [(float(n), size) for n, size in tables.memory_used(mine)]
        most = max([most, *(size for _, size in used)])
        _ramp(left, starts, plots.look(rows, subject), _outcome(mine))
        _ramp(right, used, plots.look(rows, subject), _outcome(mine))
    left.set_xscale("log", base=2)
    left.set_xlabel("instances running; each mark is twice the one before it")
    left.set_yscale("log")
    left.yaxis.set_major_formatter(lambda value, _: units.text(value, "s"))
    left.set_title("Start time of the n-th instance (logarithmic)")
    right.set_title("Host memory taken by n instances")
    right.set_xlabel("instances running")
    right.set_ylabel("fall of MemAvailable")
    right.yaxis.set_major_locator(plots.few_marks(most, "B"))
    right.yaxis.set_major_formatter(lambda value, _: units.text(value, "B"))
    for budget in {r.conditions["memory_budget"] for r in rows if "memory_budget" in r.conditions}:
        _budget(right, budget)
    for axes in (left, right):
        axes.xaxis.set_major_formatter(lambda value, _: f"{value:.0f}")
        axes.grid(color="#dddddd")
        axes.margins(y=0.1)
    handles, labels = left.get_legend_handles_labels()
    band.legend(handles, labels, loc="outside upper left", ncols=1, frameon=False)


def _outcome(rows: Sequence[Observation]) -> str:
    """Say how far a subject came and which rule stopped it."""
    name = statistics.title(rows, rows[0].subject)
    for row in statistics.select(rows, phase="reached", status="ok"):
        return f"{name}: {row.value:.0f}, stopped (×) by the rule “{row.conditions['rule']}”"
    return f"{name}: not finished"


def _ramp(
    axes: Any, points: Sequence[tuple[float, float]], style: tuple[str, str, str], label: str
) -> None:
    """Draw one ramp, and a cross at its end."""
    if not points:
        return
    colour, marker, line = style
    across, up = zip(*points, strict=True)
    size = 8 if len(points) < 20 else 4
    axes.plot(across, up, marker=marker, linestyle=line, color=colour, markersize=size, label=label)
    axes.plot(across[-1], up[-1], "x", color=plots.BLACK, markersize=14, markeredgewidth=2.5)


def _budget(axes: Any, size: int) -> None:
    """Draw the memory budget, if it is near what was used."""
    if size > 3 * max(axes.get_ylim()):
        return
    axes.axhline(size, color=plots.GREY, linestyle=(0, (1, 2)))
    axes.set_xlabel(f"{axes.get_xlabel()} (dotted: memory budget {units.text(size, 'B')})")


VIEW = View(
    table,
    pictures={
        "density": Picture(
            ramps,
            measured(phase="T0-T3"),
            "Each curve ends where a rule, declared beforehand, said stop (×).",
        )
    },
    sources=lambda: _published.table(published.DENSITY, "Density"),
)
