"""The image on its way, shown: where the time goes, what travels, what it holds."""

from __future__ import annotations

from typing import Any

from bench import plots, statistics, tables, units
from bench.tables import Table
from bench.views.base import Picture, Rows, View, measured

FIRST = "first"
PHASES = {FIRST: "first version", "update": "one line changed"}
# (step, colour, hatch, what happens in it)
PARTS = (
    ("pack", plots.SKY, "", "pack: build it, make a guest of it"),
    ("ship", plots.ORANGE, "///", "ship: push, pull"),
    ("unpack", plots.PURPLE, "...", "unpack"),
    ("start", plots.GREEN, "xx", "start, until ready"),
)
STEPS = (*(part[0] for part in PARTS), "total")
HELD = (
    ("kernel", plots.VERMILION, "\\\\", "a kernel"),
    ("guest", plots.ORANGE, "///", "the guest's own: process 1, drivers"),
    ("files", plots.BLUE, "", "the image's files"),
)


def table(rows: Rows) -> Table:
    """One line for each subject and version; what is unpacked, below."""
    shown = Table(
        "From source to the first instance on another host",
        ["", "phase", "total", "95 % interval", "sent", "n", "failed"],
    )
    numbers = []
    for subject in statistics.subjects(rows):
        name = statistics.title(rows, subject)
        for phase, version in PHASES.items():
            total = tables.summary(rows, subject, phase, "total")
            sent = tables.middle(tables.summary(rows, subject, phase, "sent"))
            cells = [tables.middle(total), tables.interval(total), sent, *tables.counts(total)]
            shown.rows.append([name, version, *cells])
            numbers.append((f"{name}, {version}", total))
        if held := _held(rows, subject):
            shown.notes.append(f"{name}, unpacked: {held}.")
    shown.notes += tables.told(numbers)
    for phase, version in PHASES.items():
        said = tables.ratios(rows, phase, "total", "to arrive and start")
        shown.notes += [f"{version.capitalize()}: {note}" for note in said]
    return shown


def parts(rows: Rows) -> Table:
    """Where the time goes, medians."""
    shown = Table("Where the time goes", ["", "phase", *STEPS])
    for subject in statistics.subjects(rows):
        for phase, version in PHASES.items():
            found = [tables.summary(rows, subject, phase, step) for step in STEPS]
            cells = [tables.middle(each) for each in found]
            shown.rows.append([statistics.title(rows, subject), version, *cells])
    return shown


def _held(rows: Rows, subject: str) -> str:
    sizes = {text: _middle(rows, subject, "contents", kind) for kind, _, _, text in HELD}
    return ", ".join(f"{text} {units.text(size, 'B')}" for text, size in sizes.items() if size)


def _middle(rows: Rows, subject: str, phase: str, metric: str) -> float:
    return tables.summary(rows, subject, phase, metric).median or 0.0


def way(band: Any, rows: Rows) -> None:
    """Times of both versions above, bytes sent and bytes held below."""
    times, sizes = band.subplots(2, 2, sharey=True, height_ratios=(1, 1))
    for axes, (phase, version) in zip(times, PHASES.items(), strict=True):
        _stack(axes, rows, phase, PARTS, "s")
        axes.set_title(f"Time, {version}", fontsize=13)
    _sent(sizes[0], rows)
    _stack(sizes[1], rows, "contents", HELD, "B")
    sizes[1].set_title("What it is, unpacked", fontsize=13)
    names = statistics.subjects(rows)
    for axes in (*times, *sizes):
        axes.set_yticks(range(len(names)), [statistics.title(rows, name) for name in names])
        axes.set_ylim(len(names) - 0.4, -0.6)
        axes.grid(axis="x", color="#dddddd")
        axes.margins(x=0.28)
        axes.set_xlim(left=0)
    band.legend(*_legend(), loc="outside upper left", ncols=2, frameon=False, fontsize=11)


def _stack(axes: Any, rows: Rows, phase: str, parts: Any, unit: str) -> None:
    """Draw a bar per subject, of parts one after the other, its sum beside it."""
    longest = 0.0
    for place, subject in enumerate(statistics.subjects(rows)):
        end = 0.0
        for metric, colour, hatch, _ in parts:
            size = _middle(rows, subject, phase, metric)
            axes.barh(place, size, left=end, height=0.56, color=colour, hatch=hatch,
                      edgecolor=plots.BLACK, linewidth=0.6)  # fmt: skip
            end += size
        longest = max(longest, end)
        whole = _middle(rows, subject, phase, "total") or end  # a sum of medians is no median
        _say(axes, end, place, units.text(whole, unit) if end else tables.NOTHING)
    axes.xaxis.set_major_formatter(lambda value, _: units.text(value, unit))
    axes.xaxis.set_major_locator(plots.few_marks(longest, unit))


def _sent(axes: Any, rows: Rows) -> None:
    """Draw what each version has sent, on a logarithmic axis: one line is some hundred bytes."""
    axes.set_xscale("symlog", linthresh=128)
    for place, subject in enumerate(statistics.subjects(rows)):
        for (phase, _), shift, colour, hatch in zip(
            PHASES.items(), (-0.2, 0.2), (plots.GREY, "white"), ("", "ooo"), strict=True
        ):
            size = _middle(rows, subject, phase, "sent")
            axes.barh(place + shift, size, height=0.36, color=colour, hatch=hatch,
                      edgecolor=plots.BLACK, linewidth=0.6)  # fmt: skip
            _say(axes, size, place + shift, units.text(size, "B") if size else tables.NOTHING)
    axes.set_title("Bytes sent (logarithmic): first, and after a line", fontsize=13)
    axes.xaxis.set_major_formatter(lambda value, _: units.text(value, "B"))
    axes.set_xticks([2**10, 2**17, 2**24, 2**31], minor=False)
    axes.set_xticks([], minor=True)


def _say(axes: Any, end: float, place: float, text: str) -> None:
    axes.annotate(
        text,
        (end, place),
        xytext=(5, 0),
        textcoords="offset points",
        va="center",
        fontsize=11,
        fontweight="bold",
    )


def _legend() -> tuple[list[Any], list[str]]:
    from matplotlib.patches import Patch

    patches = [Patch(facecolor=c, hatch=h, edgecolor=plots.BLACK) for _, c, h, _ in PARTS + HELD]
    return patches, [text for *_, text in PARTS + HELD]


VIEW = View(
    table,
    spread=parts,
    pictures={
        "image": Picture(
            way,
            measured(phase=FIRST, metric="total"),
            "Above, the way from source to a ready instance on another host, in its parts, each a "
            "median; left for the first version, right after one line of it has changed. Below, "
            "what was sent each time, and what lies on the other host then.",
        )
    },
)
