"""Work, shown: how each kind of instance does the same, and how many times the plain process's."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from bench import plots, statistics, tables, units
from bench.statistics import Summary
from bench.tables import Table
from bench.views.base import Picture, Rows, View, measured

BASE = "process"  # what all others are compared with
ACROSS = 2  # panels beside each other
LINES = 12  # subjects above each other that fit into the height of a slide


def view(name: str, title: str, caption: str, sources: Callable[[], Table] | None = None) -> View:
    """Return the view of an experiment whose phases are parts of a work.

    Args:
        name: of the picture.
        title: of table and picture; says what a number is.
        sources: as of a view.
    """

    def panels(band: Any, rows: Rows) -> None:
        draw(band, rows, f"{title} (logarithmic)")

    picture = Picture(panels, measured(), caption, height)
    return View(lambda rows: table(rows, title), pictures={name: picture}, sources=sources)


def height(rows: Rows) -> float:
    """Return how many slides high a picture must be for its lines not to meet."""
    return _down(rows) * len(statistics.subjects(rows)) / LINES


def parts(rows: Rows) -> list[tuple[str, str]]:
    """Return the parts (phase, metric), in the order of their rows."""
    return list(dict.fromkeys((row.phase, row.metric) for row in rows))


def table(rows: Rows, title: str) -> Table:
    """One line per part and subject."""
    shown = Table(title, ["", "part", "median", "95 % interval", "× process", "n", "failed"])
    numbers = []
    for phase, metric in parts(rows):
        for subject in statistics.subjects(rows):
            found = tables.summary(rows, subject, phase, metric)
            if not found.n and not found.failed:
                continue
            cells = [
                tables.middle(found),
                tables.interval(found),
                times(rows, subject, phase, metric),
            ]
            name = statistics.title(rows, subject)
            shown.rows.append([name, phase, *cells, *tables.counts(found)])
            numbers.append((f"{name}, {phase}", found))
        shown.notes += _disagreement(rows, phase)
    shown.notes += tables.told(numbers)
    shown.notes.append(
        "× process: the ratio of the medians; in brackets where the two weren't told apart "
        "(p ≥ 0.01, or less than 5 %)."
    )
    return shown


def times(rows: Rows, subject: str, phase: str, metric: str) -> str:
    """Say how many times the plain process's median a subject's is, if both can be compared."""
    base = statistics.alike(subject, BASE)
    mine, others = (
        statistics.select(rows, subject=name, phase=phase, metric=metric)
        for name in (subject, base)
    )
    if subject == base or min(len(statistics.ok(mine)), len(statistics.ok(others))) < 2:
        return tables.NOTHING
    found = statistics.compare(mine, others)
    text = units.digits(found.ratio)
    return text if found.different else f"({text})"


def _disagreement(rows: Rows, phase: str) -> list[str]:
    """Say where instances didn't come to the same outcome: then they did other work."""
    outcomes = {row.conditions.get("outcome") for row in statistics.select(rows, phase=phase)}
    outcomes.discard(None)
    if len(outcomes) < 2:
        return []
    return [f"{phase}: the instances came to different outcomes, so nothing here can be compared."]


def draw(band: Any, rows: Rows, title: str) -> None:
    """One panel per part: each subject's median with its interval, and all samples."""
    found = _drawn(rows)
    panels = band.subplots(_down(rows), min(len(found), ACROSS), sharey=True, squeeze=False)
    names = statistics.subjects(rows)
    for axes, (phase, metric) in zip(panels.flat, found, strict=False):
        _panel(axes, rows, phase, metric)
    for axes in panels.flat[len(found) :]:
        axes.set_axis_off()
    panels[0][0].set_yticks(range(len(names)), [statistics.title(rows, name) for name in names])
    panels[0][0].set_ylim(len(names) - 0.5, -0.8)
    band.suptitle(title, fontweight="bold", x=0.01, ha="left")


def _drawn(rows: Rows) -> list[tuple[str, str]]:
    """Return the parts that have a value: a panel each."""
    return [part for part in parts(rows) if statistics.ok(statistics.select(rows, phase=part[0]))]


def _down(rows: Rows) -> int:
    """Return how many panels are above each other."""
    return -(-len(_drawn(rows)) // ACROSS)


def _panel(axes: Any, rows: Rows, phase: str, metric: str) -> None:
    mine = statistics.select(rows, phase=phase, metric=metric)
    values = statistics.ok(mine)
    unit = mine[0].unit
    axes.set_xscale("log", base=4 if unit.startswith("B") else 10)  # 256 MiB/s, 1 GiB/s, …
    axes.set_xlim(min(values) / 3, max(values) * 3)
    for place, subject in enumerate(statistics.subjects(rows)):
        found = tables.summary(rows, subject, phase, metric)
        if found.median is not None:
            samples = statistics.ok(statistics.select(mine, subject=subject))
            axes.plot(samples, [place] * len(samples), "|", color=plots.GREY, markersize=12)
            _dot(axes, place, found, plots.look(rows, subject))
            axes.annotate(
                _said(rows, subject, phase, metric, found),
                (found.median, place),
                xytext=(0, 11),
                textcoords="offset points",
                ha="center",
                fontweight="bold",
                fontsize=11,
            )
    axes.set_title(phase, fontsize=13)
    axes.grid(axis="x", color="#dddddd")
    axes.xaxis.set_major_formatter(lambda value, _: units.text(value, unit))
    axes.xaxis.set_minor_formatter(lambda value, _: "")


def _dot(axes: Any, place: int, found: Summary, look: tuple[str, str, str]) -> None:
    colour, marker, _ = look
    if found.low is not None and found.high is not None:
        axes.hlines(place, found.low, found.high, color=colour, linewidth=3)
    axes.plot(found.median, place, marker, color=colour, markersize=10)


def _said(rows: Rows, subject: str, phase: str, metric: str, found: Summary) -> str:
    ratio = times(rows, subject, phase, metric)
    told = "" if ratio == tables.NOTHING else f"  {ratio} ×"
    failed = f"  ({found.failed} failed)" if found.failed else ""
    return tables.middle(found) + told + failed
