"""What a view is: how the rows of one experiment are shown."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from bench import statistics
from bench.observations import Observation
from bench.tables import Table

Rows = Sequence[Observation]


@dataclass(frozen=True)
class Picture:
    """One picture.

    Attributes:
        draw: draws rows that may be compared into a subfigure of matplotlib's.
        drawable: whether some rows are enough for it.
        caption: how to read it.
        height: how many times a slide's it needs; None: as many as its subjects need.
    """

    draw: Callable[[Any, Rows], None]
    drawable: Callable[[Rows], bool]
    caption: str
    height: Callable[[Rows], float] | None = None


@dataclass(frozen=True)
class View:
    """One experiment's table and pictures.

    Attributes:
        table: of rows that may be compared.
        spread: a second table, of how the samples spread, where that is worth one.
        pictures: by the name of their file.
        sources: what others have published about it, for the report.
    """

    table: Callable[[Rows], Table]
    spread: Callable[[Rows], Table] | None = None
    pictures: Mapping[str, Picture] = field(default_factory=dict)
    sources: Callable[[], Table] | None = None


def measured(**wanted: str) -> Callable[[Rows], bool]:
    """Return what tells whether any row with these attributes has a value (`Picture.drawable`)."""

    def drawable(rows: Rows) -> bool:
        return bool(statistics.ok(statistics.select(rows, **wanted)))

    return drawable
