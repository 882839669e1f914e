"""What others have published, drawn below what was measured here: one group for each definition,
and each group says how it differs. Measured with measured, published with published; no ratios."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

from bench import plots, published, statistics, tables, units
from bench.published import Result
from bench.tables import Table
from bench.views.base import Picture, Rows

Results = tuple[Result, ...]
LINE = 0.29  # inches


def picture(
    results: Results, phase: str, metric: str, here: str, drawable: Callable[[Rows], bool]
) -> Picture:
    """Return the picture of published figures below measured ones.

    Args:
        phase, metric: what is measured here.
        here: its definition.
    """
    lines = len(results) + 2 * len(published.definitions(results)) + 8
    return Picture(
        partial(draw, results=results, phase=phase, metric=metric, here=here),
        drawable,
        "Above what was measured here, below what others have published, on other machines, and "
        "each by the definition that stands over it. Figures of two definitions can't be compared.",
        height=lambda rows: lines * LINE / plots.SIZE[1],
    )


def table(results: Results, title: str) -> Table:
    """Return the figures with their definitions, machines and sources."""
    columns = ["", "figure", "from – to", "differs", "machine", "source"]
    shown = Table(f"{title}, as others have published it", columns)
    for each in results:
        said = each.definition
        mark = "" if each.checked else " *"
        source = f"{each.source} {each.year}{mark}: {each.url}"
        shown.rows.append(
            [each.subject, _figure(each), said.what, said.differs, each.hardware, source]
        )
    if not all(each.checked for each in results):
        shown.notes.append("*: quoted at second hand, not checked in the source itself.")
    return shown


def _figure(result: Result) -> str:
    return f"{result.is_} {units.text(result.value, result.unit)}"


def draw(band: Any, rows: Rows, results: Results, phase: str, metric: str, here: str) -> None:
    """Draw all figures on one logarithmic axis, from top to bottom in groups."""
    axes = band.subplots(1, 1)
    unit = results[0].unit
    axes.set_xscale("log", base=32 if unit == "B" else 10)
    place, ticks = 1, {}
    _head(axes, 0, "Measured here", here, plots.BLACK)
    reached = []
    for subject in statistics.subjects(rows):
        found = tables.summary(rows, subject, phase, metric)
        if found.median is not None:
            colour, marker, _ = plots.look(rows, subject)
            _dot(axes, place, found.median, f"median {tables.middle(found)}", colour, marker)
            ticks[place] = statistics.title(rows, subject)
            reached.append(found.median)
            place += 1
    for definition in published.definitions(results):
        _head(axes, place, definition.what, f"≠ here: {definition.differs}", plots.VERMILION)
        place += 2
        for each in (each for each in results if each.definition == definition):
            mark = "" if each.checked else " *"
            text = f"{_figure(each)}   {each.source} {each.year}{mark}"
            _dot(axes, place, each.value, text, plots.GREY, "D" if each.is_ != "at most" else "<")
            ticks[place] = each.subject
            place += 1
    values = [*reached, *(each.value for each in results)]
    axes.set_xlim(min(values) / 2, max(values) * 60)  # room for what stands beside the last
    axes.set_yticks(list(ticks), list(ticks.values()), fontsize=10)
    axes.set_ylim(place, -1)
    axes.xaxis.set_major_formatter(lambda value, _: units.text(value, unit))
    axes.set_xlabel(
        "logarithmic; ◂ an upper bound; * quoted at second hand; published figures come from other "
        "machines",
        fontsize=10,
    )
    axes.grid(axis="x", color="#dddddd")


def _head(axes: Any, place: float, what: str, more: str, colour: str) -> None:
    """Write a group's definition over it, and what is to be said of it."""
    if place:
        axes.axhline(place - 0.55, color="#bbbbbb", linewidth=0.8)
    for line, (text, weight, ink) in enumerate(
        ((what[0].upper() + what[1:], "bold", plots.BLACK), (more, "normal", colour))
    ):
        axes.annotate(
            text,
            (0, place + line * 0.8 - (0.5 if place == 0 else 0)),
            xycoords=("axes fraction", "data"),
            xytext=(5, 0),
            textcoords="offset points",
            va="center",
            fontsize=10,
            fontweight=weight,
            color=ink,
        )


def _dot(axes: Any, place: int, value: float, text: str, colour: str, marker: str) -> None:
    axes.plot(value, place, marker, color=colour, markersize=7)
    axes.annotate(
        text,
        (value, place),
        xytext=(8, 0),
        textcoords="offset points",
        va="center",
        fontsize=9.5,
    )
