"""The pictures: start-up, stop, memory, density. They read observations and nothing else.

Colours are Okabe and Ito's, distinguishable without colour vision (Okabe and Ito, Color Universal
Design, 2008); hatches, markers and labels say the same once more. Every picture carries the host,
the accelerator, the number of samples and the date. Rows that may not be compared (TCG and KVM, two
hosts, two digests) never share a panel.
"""

from __future__ import annotations

import datetime
import textwrap
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from bench import statistics, tables, units
from bench.observations import Observation

BLUE, ORANGE, GREEN, VERMILION = "#0072B2", "#E69F00", "#009E73", "#D55E00"
SKY, PURPLE, BLACK = "#56B4E9", "#CC79A7", "#000000"
GREY = "#555555"

# One look for each subject, everywhere: colour, marker, line.
LOOKS = [
    (GREEN, "o", "-"),
    (BLUE, "s", "--"),
    (VERMILION, "D", "-."),
    (PURPLE, "^", ":"),
    (ORANGE, "v", "-"),
    (SKY, "P", "--"),
    (BLACK, "X", "-."),
    (GREEN, "<", ":"),
    (BLUE, ">", "-"),
    (VERMILION, "*", "--"),
    (PURPLE, "h", "-."),
    (ORANGE, "d", ":"),
]

# (phase, colour, hatch, what happens in it)
PHASES = (
    ("T0-T1", SKY, "", "T0→T1  create: until its first instruction"),
    ("T1-T2", ORANGE, "///", "T1→T2  boot: until its init runs"),
    ("T2-T3", PURPLE, "...", "T2→T3  start the program: until it is ready"),
)

SIZE = (12.8, 7.2)  # inches; at 150 dpi a 1920 × 1080 slide
DPI = 150
ROOMY = 6  # so many subjects have room on a slide; with more the picture grows in height
FOOT_WIDTH = 190  # characters in a line


def draw_all(rows: Sequence[Observation], host: str, folder: Path) -> dict[str, Path]:
    """Draw every picture that the rows allow; return name → file.

    Args:
        host: one line about the machine, for the foot of each picture.
        folder: where the files go.
    """
    drawn = {}
    for name, (experiment, draw, drawable, _) in PICTURES.items():
        mine = [row for row in rows if row.experiment == experiment]
        if groups := [group for group in statistics.fair_groups(mine) if drawable(group)]:
            drawn[name] = folder / f"{name}.png"
            _draw(groups, host, drawn[name], draw)
    return drawn


def _draw(
    groups: Sequence[Sequence[Observation]],
    host: str,
    file: Path,
    draw: Callable[[Any, Sequence[Observation]], None],
) -> None:
    """Draw one picture: one band of it for each set of rows that may be compared."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    with pyplot.rc_context(_style()):
        heights = [SIZE[1] * max(1.0, _crowd(group) / ROOMY) for group in groups]
        figure = pyplot.figure(figsize=(SIZE[0], sum(heights)), layout="constrained")
        bands = figure.subfigures(len(groups), 1, squeeze=False, height_ratios=heights)[:, 0]
        for band, group in zip(bands, groups, strict=True):
            draw(band, group)
            band.supxlabel(_foot(group, host), fontsize=9, color=GREY, x=0.01, ha="left")
        figure.savefig(file, dpi=DPI)
        pyplot.close(figure)


def _crowd(rows: Sequence[Observation]) -> int:
    return len(statistics.subjects(rows))


def _style() -> Any:
    return {
        "font.size": 13,
        "axes.titlesize": 15,
        "axes.titleweight": "bold",
        "axes.titlelocation": "left",
        "axes.spines.top": False,
        "axes.spines.right": False,
        "axes.axisbelow": True,
        "hatch.linewidth": 0.7,
        "figure.facecolor": "white",
    }


def _foot(rows: Sequence[Observation], host: str) -> str:
    """Say under which conditions a panel's rows were taken."""
    first = rows[0].conditions
    day = datetime.datetime.fromtimestamp(rows[0].at).strftime("%Y-%m-%d %H:%M")
    accelerator = {
        "tcg": "VMs under TCG (software emulation)",
        "kvm": "VMs under KVM",
    }.get(str(first.get("accelerator")), f"accelerator {first.get('accelerator')}")
    memory = units.text(float(first.get("memory", 0)), "B")
    cpus = units.digits(float(first.get("cpus", 0)))
    digest = str(first.get("digest", "")).removeprefix("sha256:")[:12]
    said = (
        f"{accelerator}; each instance: {cpus} CPU, {memory}, image {first.get('image')} {digest}; "
        f"{_samples(rows)}"
    )
    return "\n".join([*textwrap.wrap(said, FOOT_WIDTH), f"{day}; {host}"])


def _samples(rows: Sequence[Observation]) -> str:
    """Say how many instances stand behind each subject, and how many failed."""
    said = []
    for subject in statistics.subjects(rows):
        mine = [row for row in rows if row.subject == subject and not row.warmup]
        good = {row.sample for row in mine if row.status == "ok" and row.metric in ("time", "pss")}
        bad = len(statistics.failures(mine))
        said.append(f"{subject} {len(good)}" + (f" (+{bad} failed)" if bad else ""))
    return "n: " + ", ".join(said)


def look(rows: Sequence[Observation], subject: str) -> tuple[str, str, str]:
    """Return (colour, marker, line style) of a subject."""
    return LOOKS[statistics.subjects(rows).index(subject) % len(LOOKS)]


# ---------------------------------------------------------------------------------------------
# Start-up


def startup(band: Any, rows: Sequence[Observation]) -> None:
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
        above.plot(totals, [place + 0.36] * len(totals), "|", color=BLACK, markersize=9, alpha=0.7)
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
            edgecolor=BLACK,
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
        Patch(facecolor=colour, hatch=hatch, edgecolor=BLACK, label=text)
        for _, colour, hatch, text in PHASES
    ]
    handles.append(
        Line2D([], [], color=BLACK, marker="|", linestyle="", markersize=9, label="one start each")
    )
    axes.legend(
        handles=handles, loc="upper center", bbox_to_anchor=(0.45, -0.2), ncols=2, frameon=False
    )


# ---------------------------------------------------------------------------------------------
# Every sample: which share was over by when


def startup_ecdf(band: Any, rows: Sequence[Observation]) -> None:
    """Draw which share of the starts was ready by when."""
    _ecdf(band, rows, "T0-T3", "Which share of the starts was ready by when", "since the call")


def stop_ecdf(band: Any, rows: Sequence[Observation]) -> None:
    """Draw which share of the instances was gone by when."""
    _ecdf(band, rows, "stop", "Which share of the instances was gone by when", "since the request")


def _ecdf(band: Any, rows: Sequence[Observation], phase: str, title: str, since: str) -> None:
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
        colour, marker, line = look(rows, subject)
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
    axes.axhline(50, color=GREY, linestyle=(0, (1, 2)))
    axes.annotate(
        "half of them",
        (0, 50),
        xycoords=("axes fraction", "data"),
        xytext=(4, 4),
        textcoords="offset points",
        color=GREY,
    )
    axes.set_ylim(0, 103)
    axes.yaxis.set_major_formatter(lambda value, _: f"{value:.0f} %")
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


# ---------------------------------------------------------------------------------------------
# Memory


def memory(band: Any, rows: Sequence[Observation]) -> None:
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
                _dot(axes, place, points, look(rows, subject))
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
        colour = look(rows, subject)[0]
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


# ---------------------------------------------------------------------------------------------
# Density


def density(band: Any, rows: Sequence[Observation]) -> None:
    """Start time and the host's memory over the number of instances, with where each stopped."""
    left, right = band.subplots(1, 2)
    for subject in statistics.subjects(rows):
        mine = [row for row in rows if row.subject == subject]
        starts = [
            (float(row.conditions["instances"]), row.value)
            for row in statistics.select(mine, phase="T0-T3", status="ok")
            if row.value is not None
        ]
        used = [(float(n), size / 2**20) for n, size in tables.memory_used(mine) if n > 0]
        _ramp(left, starts, look(rows, subject), _outcome(mine))
        _ramp(right, used, look(rows, subject), _outcome(mine))
    left.set_yscale("log")
    left.yaxis.set_major_formatter(lambda value, _: units.text(value, "s"))
    left.set_title("Start time of the n-th instance (logarithmic)")
    right.set_title("Host memory taken by n instances")
    right.set_ylabel("fall of MemAvailable, MiB")
    for budget in {r.conditions["memory_budget"] for r in rows if "memory_budget" in r.conditions}:
        _budget(right, budget)
    for axes in (left, right):
        axes.set_xscale("log", base=2)
        axes.xaxis.set_major_formatter(lambda value, _: f"{value:.0f}")
        axes.set_xlabel("instances running; each mark is twice the one before it")
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
    axes.plot(across[-1], up[-1], "x", color=BLACK, markersize=14, markeredgewidth=2.5)


def _budget(axes: Any, size: int) -> None:
    """Draw the memory budget, if it is near what was used."""
    budget = size / 2**20
    if budget > 3 * max(axes.get_ylim()):
        return
    axes.axhline(budget, color=GREY, linestyle=(0, (1, 2)))
    axes.annotate(
        f"memory budget {units.text(size, 'B')}",
        (1, budget),
        xycoords=("axes fraction", "data"),
        xytext=(-4, 5),
        textcoords="offset points",
        ha="right",
        color=GREY,
    )


def _has_whole_starts(rows: Sequence[Observation]) -> bool:
    return any(_marks(rows, subject) for subject in statistics.subjects(rows))


def _has_sizes(rows: Sequence[Observation]) -> bool:
    return bool(statistics.ok(statistics.select(rows, phase="idle")))


def _has_starts(rows: Sequence[Observation]) -> bool:
    return bool(statistics.ok(statistics.select(rows, phase="T0-T3")))


def _has_stops(rows: Sequence[Observation]) -> bool:
    return bool(statistics.ok(statistics.select(rows, phase="stop")))


# Name → experiment, how it is drawn, whether some rows are enough, and how to read it.
PICTURES: dict[
    str,
    tuple[
        str,
        Callable[[Any, Sequence[Observation]], None],
        Callable[[Sequence[Observation]], bool],
        str,
    ],
] = {
    "startup": (
        "startup",
        startup,
        _has_whole_starts,
        "A bar is a start from the call to ready, in its three phases; each of them is a median.",
    ),
    "startup-ecdf": (
        "startup",
        startup_ecdf,
        _has_starts,
        "Each step is one start: the higher, the more were ready by then. A steep curve is a "
        "steady subject, a long flat end a slow minority; failures keep a curve below 100 %.",
    ),
    "stop-ecdf": (
        "stop",
        stop_ecdf,
        _has_stops,
        "Each step is one stop: the higher, the more were gone by then.",
    ),
    "memory": (
        "memory",
        memory,
        _has_sizes,
        "Four ways to count the same instance; none of them is the memory it takes.",
    ),
    "density": (
        "density",
        density,
        _has_starts,
        "Each curve ends where a rule, declared beforehand, said stop (×).",
    ),
}
