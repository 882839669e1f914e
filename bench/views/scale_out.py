"""Scale-out and scale-in, shown: the n-th ready and the n-th gone over time."""

from __future__ import annotations

from typing import Any

from bench import plots, published, statistics, tables, units
from bench.tables import Table
from bench.views import _published
from bench.views.base import Picture, Rows, View, measured

WHOLE = ("all ready", "all gone")


def table(rows: Rows) -> Table:
    """How long all took, and how many that is in a second."""
    shown = Table(
        "Scale-out and scale-in: n at once, until all are ready, and gone; medians",
        ["", "n", "all ready", "rate", "all gone", "trials", "failed"],
    )
    for subject in statistics.subjects(rows):
        mine = [row for row in rows if row.subject == subject]
        ready, gone = (tables.summary(rows, subject, whole, "time") for whole in WHOLE)
        failed, trials = str(len(statistics.failures(mine))), str(ready.n)
        cells = [tables.middle(ready), _rate(rows, subject), tables.middle(gone)]
        shown.rows.append([statistics.title(rows, subject), _reached(mine), *cells, trials, failed])
        shown.notes += _bounds(mine)
    shown.notes += tables.ratios(rows, "all ready", "time", "until all are ready")
    shown.notes += tables.doubts(rows, "all ready", "time")
    return shown


def _rate(rows: Rows, subject: str) -> str:
    found = tables.summary(rows, subject, "all ready", "rate").median
    return tables.NOTHING if found is None else f"{units.digits(found)}/s"


def _reached(rows: Rows) -> str:
    """Say how many became ready: the same in every trial, or from least to most."""
    counts = {
        row.conditions["instances"]
        for row in statistics.select(rows, phase="all ready")
        if row.value is not None
    }
    return " – ".join(str(each) for each in sorted({min(counts), max(counts)})) if counts else "0"


def _bounds(rows: Rows) -> list[str]:
    """Say where the host had no room for as many as were asked for."""
    asked = {row.conditions["asked"] for row in rows if "asked" in row.conditions}
    title = rows[0].conditions.get("title", rows[0].subject)
    return [
        f"{title}: {count} were asked for; more could have touched the host's reserve of memory."
        for count in asked
    ]


def curves(band: Any, rows: Rows) -> None:
    """How many are ready, and how many are left, over time: a line for each trial."""
    left, right = band.subplots(1, 2, sharey=True)
    for subject in statistics.subjects(rows):
        for axes, curve in zip((left, right), ("out", "in"), strict=True):
            label = _label(rows, subject) if axes is left else None
            _draw(axes, rows, subject, curve, label)
    left.set_title("Ready, after the call for all")
    left.set_ylabel("instances")
    right.set_title("Left, after all were asked to stop")
    for axes in (left, right):
        axes.set_xscale("log")
        axes.set_ylim(bottom=0)
        axes.set_xlabel("time, logarithmic")
        axes.xaxis.set_major_formatter(lambda value, _: units.text(value, "s"))
        axes.xaxis.set_minor_formatter(lambda value, _: "")
        axes.yaxis.get_major_locator().set_params(integer=True)
        axes.grid(color="#dddddd")
    band.legend(loc="outside upper left", ncols=1, frameon=False)


def _draw(axes: Any, rows: Rows, subject: str, curve: str, label: str | None) -> None:
    colour, marker, line = plots.look(rows, subject)
    trials: dict[Any, list[float]] = {}
    for row in statistics.select(rows, subject=subject, phase=curve, status="ok"):
        assert row.value is not None, "its status is ok"
        trials.setdefault(row.trial, []).append(row.value)
    for number, times in enumerate(trials.values()):
        counts = range(1, len(times) + 1)
        up = list(counts) if curve == "out" else [len(times) - each for each in counts]
        axes.step(
            times,
            up,
            where="post",
            color=colour,
            linestyle=line,
            linewidth=2,
            marker=marker,
            markersize=5,
            label=None if number else label,
        )


def _label(rows: Rows, subject: str) -> str:
    found = tables.summary(rows, subject, "all ready", "time")
    failed = len(statistics.failures([row for row in rows if row.subject == subject]))
    told = f"{statistics.title(rows, subject)}: the last after {tables.middle(found)}"
    return f"{told} ({_rate(rows, subject)})" + (f", {failed} failed" if failed else "")


VIEW = View(
    table,
    pictures={
        "scale-out": Picture(
            curves,
            measured(phase="out"),
            "Each step is one instance, each line one trial: started at once, and stopped at once.",
        )
    },
    sources=lambda: _published.table(published.RATES, "Instances a second"),
)
