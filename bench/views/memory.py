"""Memory, shown: four numbers, side by side."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from bench import plots, published, statistics, tables, units
from bench.observations import Observation
from bench.tables import Table
from bench.views import _published
from bench.views.base import Picture, View, measured


def table(rows: Sequence[Observation]) -> Table:
    """The four numbers."""
    shown = Table(
        "Memory of one more idle instance",
        ["", "PSS", "USS", "cgroup", "+ file", "host", "n"],
    )
    for subject in statistics.subjects(rows):
        found = {
            metric: tables.summary(rows, subject, "idle", metric)
            for metric in ("pss", "uss", "cgroup_used", "cgroup_file")
        }
        line = tables.memory_slope(rows, subject)
        shown.rows.append(
            [
                statistics.title(rows, subject),
                *(tables.middle(each) for each in found.values()),
                tables.slope_text(line),
                str(found["pss"].n),
            ]
        )
        shown.notes += _hypervisor(rows, subject)
        shown.notes += tables.slope_notes(rows, subject, "memory")
    shown.notes.append(
        "cgroup: anon + shmem + kernel; + file: page cache charged to it, which the host takes "
        "back when it needs it; host: by how much the host's MemAvailable falls with one more "
        "instance (slope of a regression ± half of its 95 % interval)."
    )
    return shown


def _hypervisor(rows: Sequence[Observation], subject: str) -> list[str]:
    own = tables.summary(rows, subject, "idle", "hypervisor_bytes")
    guest = tables.summary(rows, subject, "idle", "guest_ram_bytes")
    if own.median is None or guest.median is None:
        return []
    return [
        f"{statistics.title(rows, subject)}: the hypervisor's own share is {tables.middle(own)}, "
        f"guest RAM touched so far {tables.middle(guest)}."
    ]


def panels(band: Any, rows: Sequence[Observation]) -> None:
    """The four numbers, side by side: no single one of them is "the" memory of an instance."""
    from matplotlib.ticker import LogLocator

    panels = list(band.subplots(2, 2, sharex=True, sharey=True).flat)
    names = statistics.subjects(rows)
    panels[0].set_yticks(range(len(names)), [statistics.title(rows, name) for name in names])
    panels[0].set_ylim(len(names) - 0.4, -0.7)
    panels[0].set_xscale("log", base=2)
    panels[0].set_xlim(*_memory_range(rows))
    panels[0].xaxis.set_major_locator(LogLocator(base=2, numticks=6))
    panels[0].xaxis.set_major_formatter(lambda value, _: units.text(value, "B"))
    panels[0].xaxis.minorticks_off()
    contents = (
        ("PSS: its processes, shared pages divided", "pss"),
        ("USS: what its processes share with nobody", "uss"),
        ("cgroup: anon + shmem + kernel;  ○ with file", "cgroup_used"),
        ("host: fall of MemAvailable per instance", ""),
    )
    for axes, (title, metric) in zip(panels, contents, strict=True):
        for place, subject in enumerate(names):
            points = _points(rows, subject, metric) if metric else _slope_point(rows, subject)
            if points is not None:
                _dot(axes, place, points, plots.look(rows, subject))
            if metric == "cgroup_used":
                _with_file(axes, place, rows, subject)
            if metric == "pss":
                _share(axes, place, rows, subject)
        axes.set_title(title, fontsize=13)
        axes.grid(axis="x", color="#dddddd")
        axes.tick_params(labelbottom=True)
    band.suptitle(
        "Memory of one more idle instance, counted in four ways (logarithmic)",
        fontweight="bold",
        x=0.01,
        ha="left",
    )


def _memory_range(rows: Sequence[Observation]) -> tuple[float, float]:
    """Return the ends of the axis that all four panels share."""
    shown = ("pss", "uss", "cgroup_used")
    values = [row.value for row in rows if row.metric in shown and row.value]
    for subject in statistics.subjects(rows):
        line = tables.memory_slope(rows, subject)
        values += [] if line is None else [abs(line.per_instance), line.high]
    values = [value for value in values if value > 4096] or [4096.0]
    return min(values) / 4, max(values) * 4


def _points(
    rows: Sequence[Observation], subject: str, metric: str
) -> tuple[float, float, float] | None:
    found = tables.summary(rows, subject, "idle", metric)
    if found.median is None:
        return None
    low = found.median if found.low is None else found.low
    high = found.median if found.high is None else found.high
    return found.median, low, high


def _slope_point(rows: Sequence[Observation], subject: str) -> tuple[float, float, float] | None:
    line = tables.memory_slope(rows, subject)
    return None if line is None else (line.per_instance, line.low, line.high)


def _dot(
    axes: Any, place: int, points: tuple[float, float, float], style: tuple[str, str, str]
) -> None:
    """Draw a median with its interval, and write its value above.

    An interval that reaches down to zero or below leaves the logarithmic axis at its left end.
    """
    middle, low, high = points
    colour, marker, _ = style
    left = axes.get_xlim()[0]
    axes.hlines(place, max(low, left), max(high, left), color=colour, linewidth=3)
    if low <= 0:
        axes.plot(left, place, "<", color=colour, markersize=11, clip_on=False)
    if middle > left:
        axes.plot(middle, place, marker, color=colour, markersize=11)
    text = units.text(middle, "B")
    if low <= 0:
        text = units.plus_minus(middle, high - middle, "B")
        text += ": not told apart from nothing"
    axes.annotate(
        text,
        (left if low <= 0 else middle, place),
        xytext=(4 if low <= 0 else 0, 11),
        textcoords="offset points",
        ha="left" if low <= 0 else "center",
        fontweight="bold",
    )


def _with_file(axes: Any, place: int, rows: Sequence[Observation], subject: str) -> None:
    """Add an open circle where the cgroup's page cache is counted too."""
    used = tables.summary(rows, subject, "idle", "cgroup_used").median
    file = tables.summary(rows, subject, "idle", "cgroup_file").median
    if used is not None and file is not None:
        colour = plots.look(rows, subject)[0]
        axes.plot(
            used + file, place, "o", markersize=15, markerfacecolor="none", markeredgecolor=colour
        )


def _share(axes: Any, place: int, rows: Sequence[Observation], subject: str) -> None:
    """Write beside a VM what of it is guest RAM and what the hypervisor's own."""
    own = tables.summary(rows, subject, "idle", "hypervisor_bytes")
    guest = tables.summary(rows, subject, "idle", "guest_ram_bytes")
    if own.median is None or guest.median is None:
        return
    axes.annotate(
        f"hypervisor {tables.middle(own)} + guest RAM {tables.middle(guest)}",
        (1.0, place),
        xycoords=("axes fraction", "data"),
        xytext=(0, -16),
        textcoords="offset points",
        ha="right",
        fontsize=11,
    )


VIEW = View(
    table,
    pictures={
        "memory": Picture(
            panels,
            measured(phase="idle"),
            "Four ways to count the same instance; none of them is the memory it takes.",
        ),
        "published-memory": _published.picture(
            published.MEMORY,
            "idle",
            "pss",
            "PSS of all processes that the host has because of one idle instance",
            measured(phase="idle", metric="pss"),
        ),
    },
    sources=lambda: _published.table(published.MEMORY, "Memory"),
)
