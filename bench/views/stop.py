"""Stop, shown: the table, and every sample."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from bench import statistics, tables
from bench.observations import Observation
from bench.tables import Table
from bench.views._samples import ecdf, spread
from bench.views.base import Picture, View, measured


def table(rows: Sequence[Observation]) -> Table:
    """Time from the polite request until nothing is left."""
    shown = Table("Stop: median time", ["", "stop", "95 % interval", "n", "failed"])
    for subject in statistics.subjects(rows):
        found = tables.summary(rows, subject, "stop", "time")
        shown.rows.append(
            [
                statistics.title(rows, subject),
                tables.middle(found),
                tables.interval(found),
                *tables.counts(found),
            ]
        )
    shown.notes = tables.ratios(rows, "stop", "time", "to stop") + tables.doubts(
        rows, "stop", "time"
    )
    return shown


def curves(band: Any, rows: Sequence[Observation]) -> None:
    """Draw which share of the instances was gone by when."""
    ecdf(band, rows, "stop", "Which share of the instances was gone by when", "since the request")


VIEW = View(
    table,
    spread=lambda rows: spread(rows, "stop"),
    pictures={
        "stop-ecdf": Picture(
            curves,
            measured(phase="stop"),
            "Each step is one stop: the higher, the more were gone by then.",
        )
    },
)
