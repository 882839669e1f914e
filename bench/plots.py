"""What all pictures have in common: colours, looks, size, foot (what is in them: bench/views/).

Colours are Okabe and Ito's, distinguishable without colour vision (Okabe and Ito, Color Universal
Design, 2008); hatches, markers and labels say the same once more. Every picture carries the host,
the accelerator, the number of samples and the date. Rows that may not be compared (TCG and KVM, two
hosts, two digests) never share a panel.
"""

from __future__ import annotations

import datetime
import gc
import math
import textwrap
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from bench import statistics, units
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

SIZE = (12.8, 7.2)  # inches; at 150 dpi a 1920 × 1080 slide
DPI = 150
ROOMY = 6  # so many subjects have room on a slide; with more the picture grows in height
FOOT_WIDTH = 190  # characters in a line


def draw(
    groups: Sequence[Sequence[Observation]],
    host: str | Sequence[str],
    file: Path,
    draw_band: Callable[[Any, Sequence[Observation]], None],
    height: Callable[[Sequence[Observation]], float] | None = None,
) -> None:
    """Draw one picture: one band of it for each set of rows that may be compared.

    Args:
        host: one line about the machine; of several one for each set.
        height: of a band, in slides; None: as its subjects need.
    """
    from matplotlib import rc_context
    from matplotlib.figure import Figure

    with rc_context(_style()):
        heights = [SIZE[1] * max(1.0, (height or _crowd)(group)) for group in groups]
        figure = Figure(figsize=(SIZE[0], sum(heights)), layout="constrained")
        bands = figure.subfigures(len(groups), 1, squeeze=False, height_ratios=heights)[:, 0]
        hosts = [host] * len(groups) if isinstance(host, str) else host
        for band, group, of_band in zip(bands, groups, hosts, strict=True):
            draw_band(band, group)
            band.supxlabel(_foot(group, of_band), fontsize=9, color=GREY, x=0.01, ha="left")
        figure.savefig(file, dpi=DPI)
    del figure, bands, band
    gc.collect()  # its parts refer to each other, and the next picture needs as much memory


def _crowd(rows: Sequence[Observation]) -> float:
    return len(statistics.subjects(rows)) / ROOMY


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
    varied = statistics.under(rows, [rows])
    said = (
        f"{accelerator}; each instance: {cpus} CPU, {memory}, image {first.get('image')} {digest}; "
        f"{varied + '; ' if varied else ''}{_samples(rows)}"
    )
    lines = [*textwrap.wrap(said, FOOT_WIDTH), *textwrap.wrap(f"{day}; {host}", FOOT_WIDTH)]
    return "\n".join(lines)


def _samples(rows: Sequence[Observation]) -> str:
    """Say how many instances stand behind each subject, and how many failed."""
    said = []
    for subject in statistics.subjects(rows):
        mine = [row for row in rows if row.subject == subject and not row.warmup]
        good = {row.sample for row in mine if row.status == "ok" and row.metric != "mem_available"}
        bad = len(statistics.failures(mine))
        said.append(f"{subject} {len(good)}" + (f" (+{bad} failed)" if bad else ""))
    return "n: " + ", ".join(said)


def look(rows: Sequence[Observation], subject: str) -> tuple[str, str, str]:
    """Return (colour, marker, line style) of a subject."""
    return LOOKS[statistics.subjects(rows).index(subject) % len(LOOKS)]


def few_marks(longest: float, unit: str) -> Any:
    """Return where the marks of an axis go: few, and for bytes at powers of two."""
    from matplotlib.ticker import MaxNLocator, MultipleLocator

    if unit != "B" or longest <= 0:
        return MaxNLocator(4)
    return MultipleLocator(2 ** math.ceil(math.log2(longest / 3)))
