"""The ladder, shown: for each subject, what changing one thing adds to its start or takes away."""

from __future__ import annotations

from typing import Any

from bench import plots, statistics, tables, units
from bench.statistics import Difference
from bench.tables import Table
from bench.views.base import Picture, Rows, View

WHOLE = "unchanged"  # bench.experiments.ladder
LINES = 14  # of rungs, that have room in a picture of the usual height

Rung = tuple[str, Difference, int]  # what is changed, what that adds, how many starts failed


def rungs(rows: Rows, subject: str) -> list[Rung]:
    """Return a subject's rungs, what adds most first, what only fails last."""
    mine = statistics.select(rows, subject=subject, metric="time")
    whole = statistics.select(mine, phase=WHOLE)
    found = []
    for name in {row.phase for row in mine} - {WHOLE}:
        changed = statistics.select(mine, phase=name)
        failed = len(statistics.failures(changed))
        found.append((name, statistics.difference(changed, whole), failed))
    return sorted(found, key=lambda rung: (rung[1].median is None, -(rung[1].median or 0), rung[0]))


def table(rows: Rows) -> Table:
    """A line for each subject as it is, and below it one for each thing changed."""
    columns = ["", "ready", "difference", "95 % interval", "n", "failed"]
    shown = Table("Ladder: how much later it is ready with one thing changed", columns)
    numbers = []
    for subject in statistics.subjects(rows):
        title = statistics.title(rows, subject)
        whole = tables.summary(rows, subject, WHOLE, "time")
        shown.rows.append([title, tables.middle(whole), "", "", *tables.counts(whole)])
        for name, found, failed in rungs(rows, subject):
            ready = tables.middle(tables.summary(rows, subject, name, "time"))
            cells = [f"· {name}", ready, said(found), tables.interval(found)]
            shown.rows.append([*cells, str(found.n), str(failed)])
        if not rungs(rows, subject):
            shown.notes.append(f"{title}: nothing can be changed about it.")
        numbers.append((f"{title}, unchanged", whole))
    shown.notes += tables.told(numbers)
    shown.notes.append(
        "Difference: median over the rounds; in brackets where its interval holds zero, or where "
        f"there were fewer than {statistics.ENOUGH} rounds."
    )
    return shown


def own_times(rows: Rows) -> Table:
    """What each step of an unchanged start takes by its own account, the longest first."""
    shown = Table("What the steps take by their own account", ["", "median", "n"])
    for subject in statistics.subjects(rows):
        mine = statistics.select(rows, subject=subject, metric="own time")
        names = dict.fromkeys(row.phase for row in mine)
        found = [(name, tables.summary(mine, subject, name, "own time")) for name in names]
        shown.rows += [[statistics.title(rows, subject), "", ""]] if found else []
        for name, own in sorted(found, key=lambda pair: -(pair[1].median or 0)):
            shown.rows.append([f"· {name}", tables.middle(own), str(own.n)])
    shown.notes.append(
        "Two processes take them, partly at the same time, so they don't add up to the start."
        if shown.rows
        else "No subject tells."
    )
    return shown


def said(found: Difference) -> str:
    """Write a difference with its sign; in brackets where it is none for sure."""
    if found.median is None:
        return tables.NOTHING
    text = units.text(found.median, found.unit)
    signed = text if found.median < 0 else f"+{text}"
    return signed if found.told_apart else f"({signed})"


def lines(rows: Rows) -> float:
    """Return how many times the usual height a picture needs."""
    return sum(len(rungs(rows, subject)) + 2 for subject in _drawn(rows)) / LINES


def _drawn(rows: Rows) -> list[str]:
    return [subject for subject in statistics.subjects(rows) if _measured(rows, subject)]


def _measured(rows: Rows, subject: str) -> list[Rung]:
    return [rung for rung in rungs(rows, subject) if rung[1].median is not None]


def draw(band: Any, rows: Rows) -> None:
    """One panel per subject, each with a scale of its own."""
    drawn = _drawn(rows)
    heights = [len(rungs(rows, subject)) + 2 for subject in drawn]
    panels = band.subplots(len(drawn), 1, squeeze=False, height_ratios=heights)[:, 0]
    for axes, subject in zip(panels, drawn, strict=True):
        _panel(axes, rows, subject)
    band.suptitle(
        "How much later it is ready with one thing changed", fontweight="bold", x=0.01, ha="left"
    )


def _panel(axes: Any, rows: Rows, subject: str) -> None:
    found = rungs(rows, subject)
    ends = [end for _, each, _ in found for end in (each.median, each.low, each.high, 0.0)]
    least, most = (limit(end for end in ends if end is not None) for limit in (min, max))
    room = 0.22 * (most - least or 1.0)
    axes.set_xlim(least - room, most + room)
    for place, (_, each, failed) in enumerate(found):
        _bar(axes, place, each)
        _label(axes, place, each, failed)
    whole = tables.summary(rows, subject, WHOLE, "time")
    title = f"{statistics.title(rows, subject)}: {tables.middle(whole)} unchanged"
    axes.set_title(title, fontsize=13)
    axes.axvline(0, color=plots.BLACK, linewidth=1)
    axes.set_yticks(range(len(found)), [name for name, _, _ in found])
    axes.set_ylim(len(found) - 0.4, -0.6)
    axes.grid(axis="x", color="#dddddd")
    axes.xaxis.set_major_formatter(lambda value, _: units.text(value, "s"))


def _bar(axes: Any, place: int, found: Difference) -> None:
    """Filled if it is told apart from nothing, else hollow; its interval as a line."""
    if found.median is None:
        return
    colour = plots.VERMILION if found.median > 0 else plots.BLUE
    look = {"color": colour} if found.told_apart else {"color": "none"}
    axes.barh(place, found.median, height=0.6, edgecolor=colour, linewidth=1.2, **look)
    if found.low is not None and found.high is not None:
        axes.hlines(place, found.low, found.high, color=plots.BLACK, linewidth=2)


def _label(axes: Any, place: int, found: Difference, failed: int) -> None:
    """Write the difference beyond the bar's end, and the failures."""
    later = (found.median or 0.0) >= 0
    ends = [end for end in (0.0, found.median, found.low, found.high) if end is not None]
    text = said(found) if found.median is not None else ""
    axes.annotate(
        text + (f"  {failed} failed" if failed else ""),
        (max(ends) if later else min(ends), place),
        xytext=(6 if later else -6, 0),
        textcoords="offset points",
        ha="left" if later else "right",
        va="center",
        fontsize=11,
    )


VIEW = View(
    table,
    spread=own_times,
    pictures={
        "ladder": Picture(
            draw,
            lambda rows: bool(_drawn(rows)),
            "A bar to the right: it is ready so much later with that change; to the left: sooner. "
            "The line is the 95 % interval. Where that holds zero, or rests on fewer than six "
            "rounds, the bar is hollow and its number in brackets. Each subject has a scale of its "
            "own.",
            height=lines,
        )
    },
)
