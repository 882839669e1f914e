"""Start-up, shown: phases, totals, and every sample."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from bench import plots, published, statistics, tables, units
from bench.observations import Observation
from bench.tables import Table
from bench.views import _published
from bench.views._samples import ecdf, spread
from bench.views.base import Picture, View, measured

# (phase, colour, hatch, what happens in it)
PHASES = (
    ("T0-T1", plots.SKY, "", "T0→T1  create: until its first instruction"),
    ("T1-T2", plots.ORANGE, "///", "T1→T2  boot: until its init runs"),
    ("T2-T3", plots.PURPLE, "...", "T2→T3  start the program: until it is ready"),
)


def table(rows: Sequence[Observation]) -> Table:
    """Phases and total, medians."""
    shown = Table(
        "Start-up: median time",
        ["", "T0→T1", "T1→T2", "T2→T3", "T0→T3", "95 % interval", "n", "failed"],
    )
    for subject in statistics.subjects(rows):
        phases = [
            tables.summary(rows, subject, phase, "time")
            for phase in ("T0-T1", "T1-T2", "T2-T3", "T0-T3")
        ]
        shown.rows.append(
            [
                statistics.title(rows, subject),
                *(tables.middle(phase) for phase in phases),
                tables.interval(phases[-1]),
                *tables.counts(phases[-1]),
            ]
        )
    shown.notes = tables.ratios(rows, "T0-T3", "time", "to start") + tables.doubts(
        rows, "T0-T3", "time"
    )
    if any(
        tables.middle(tables.summary(rows, s, "T2-T3", "time")) == "0 s"
        for s in statistics.subjects(rows)
    ):
        shown.notes.append("T2→T3 is 0 s where both lines reached the host in one read.")
    return shown


def bars(band: Any, rows: Sequence[Observation]) -> None:
    """Phases on a logarithmic axis, where 2 ms and 2 s both read; below, the same to scale."""
    names = statistics.subjects(rows)
    marks = {name: _marks(rows, name) for name in names}
    drawn = [mark for mark in marks.values() if mark]
    totals = statistics.ok(statistics.select(rows, phase="T0-T3"))
    earliest = min(mark[1] for mark in drawn) / 4
    latest = max([*totals, *(mark[-1] for mark in drawn)])
    above, below = band.subplots(2, 1, height_ratios=(3, 1.1))
    above.set_xscale("log")
    above.set_xlim(earliest, latest * 4)
    below.set_xlim(0, latest * 1.02)
    for place, subject in enumerate(names):
        if marks[subject]:
            _phases(above, place, marks[subject], earliest / 10)
            _phases(below, place, marks[subject], 0.0)
            _say_phases(above, place, marks[subject], earliest, rows, subject)
            _say_total(above, place, marks[subject][-1], rows, subject)
        totals = statistics.ok(statistics.select(rows, subject=subject, phase="T0-T3"))
        above.plot(
            totals, [place + 0.36] * len(totals), "|", color=plots.BLACK, markersize=9, alpha=0.7
        )
    above.set_title("Time from the call until ready: where it goes")
    above.set_xlabel("time since the call, logarithmic: each mark is ten times the one before it")
    below.set_title("The same, to scale", fontsize=12)
    below.set_xlabel("time since the call")
    for axes in (above, below):
        axes.set_yticks(range(len(names)), [statistics.title(rows, name) for name in names])
        axes.set_ylim(len(names) - 0.4, -0.6)
        axes.grid(axis="x", color="#dddddd")
        axes.xaxis.set_major_formatter(lambda value, _: units.text(value, "s"))
    _phase_legend(above)


def _marks(rows: Sequence[Observation], subject: str) -> list[float]:
    """Return the medians of T1, T2 and T3 as seconds since T0, with 0 before them."""
    import numpy as np

    phases = [
        {row.sample: row.value for row in statistics.select(rows, subject=subject, phase=phase)}
        for phase, *_ in PHASES
    ]
    whole = [sample for sample in phases[0] if all(p.get(sample) is not None for p in phases)]
    if not whole:
        return []
    each = np.array([[phase[sample] for phase in phases] for sample in whole], dtype=float)
    return [0.0, *(float(mark) for mark in np.median(np.cumsum(each, axis=1), axis=0))]


def _phases(axes: Any, place: int, marks: list[float], zero: float) -> None:
    """Draw one subject's bar; `zero` is where T0 lies (a logarithmic axis has no zero)."""
    for (_, colour, hatch, _), left, right in zip(PHASES, marks, marks[1:], strict=False):
        axes.barh(
            place,
            right - max(left, zero),
            left=max(left, zero),
            height=0.56,
            color=colour,
            hatch=hatch,
            edgecolor=plots.BLACK,
            linewidth=0.6,
        )


def _say_phases(
    axes: Any,
    place: int,
    marks: list[float],
    earliest: float,
    rows: Sequence[Observation],
    subject: str,
) -> None:
    """Write into each part of a bar how long it took, where there is room."""
    for (phase, *_), left, right in zip(PHASES, marks, marks[1:], strict=False):
        left_seen = max(left, earliest)
        if right / left_seen > 2.4:
            axes.text(
                (left_seen * right) ** 0.5,
                place,
                tables.middle(tables.summary(rows, subject, phase, "time")),
                ha="center",
                va="center",
                fontsize=12,
                bbox={"facecolor": "white", "edgecolor": "none", "alpha": 0.85, "pad": 1.5},
            )


def _say_total(
    axes: Any, place: int, total: float, rows: Sequence[Observation], subject: str
) -> None:
    """Write beside a bar its end, and how many starts failed."""
    text = units.text(total, "s")
    if failed := len(statistics.failures(statistics.select(rows, subject=subject))):
        text += f"\n({failed} failed)"
    axes.text(total * 1.12, place, text, va="center", fontweight="bold")


def _phase_legend(axes: Any) -> None:
    from matplotlib.lines import Line2D
    from matplotlib.patches import Patch

    handles: list[Any] = [
        Patch(facecolor=colour, hatch=hatch, edgecolor=plots.BLACK, label=text)
        for _, colour, hatch, text in PHASES
    ]
    handles.append(
        Line2D(
            [],
            [],
            color=plots.BLACK,
            marker="|",
            linestyle="",
            markersize=9,
            label="one start each",
        )
    )
    axes.legend(
        handles=handles, loc="upper center", bbox_to_anchor=(0.45, -0.2), ncols=2, frameon=False
    )


def curves(band: Any, rows: Sequence[Observation]) -> None:
    """Draw which share of the starts was ready by when."""
    ecdf(band, rows, "T0-T3", "Which share of the starts was ready by when", "since the call")


def _has_whole_starts(rows: Sequence[Observation]) -> bool:
    return any(_marks(rows, subject) for subject in statistics.subjects(rows))


VIEW = View(
    table,
    spread=lambda rows: spread(rows, "T0-T3"),
    pictures={
        "startup": Picture(
            bars,
            _has_whole_starts,
            "A bar is a start from the call to ready, in its three phases; each of them is a "
            "median.",
        ),
        "startup-ecdf": Picture(
            curves,
            measured(phase="T0-T3"),
            "Each step is one start: the higher, the more were ready by then. A steep curve is a "
            "steady subject, a long flat end a slow minority; failures keep a curve below 100 %.",
        ),
        "published": _published.picture(
            published.STARTS,
            "T0-T3",
            "time",
            "from the call to the ready line of the image's program (T0→T3)",
            measured(phase="T0-T3"),
        ),
    },
    sources=lambda: _published.table(published.STARTS, "Start-up"),
)
