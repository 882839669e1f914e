"""Plain tables for the terminal, and numbers as people read them.

Not rich's: its import takes longer than to start a container, and scripts cut columns.
"""

from __future__ import annotations

from collections.abc import Sequence

_SECONDS = ((86400 * 2, 86400, "days"), (3600 * 2, 3600, "hours"), (120, 60, "minutes"))


def table(headings: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Return rows under headings, in columns two spaces apart."""
    every = [headings, *rows]
    widths = [max(len(row[column]) for row in every) for column in range(len(headings))]
    return "".join(_line(row, widths) for row in every)


def _line(row: Sequence[str], widths: Sequence[int]) -> str:
    cells = [cell.ljust(width) for cell, width in zip(row, widths, strict=True)]
    return "  ".join(cells).rstrip() + "\n"


def ago(seconds: float) -> str:
    """Return a length of time in its largest sensible unit: "3 minutes"."""
    for least, unit, name in _SECONDS:
        if seconds >= least:
            return f"{seconds / unit:.0f} {name}"
    return f"{max(0.0, seconds):.0f} s"


def size(count: int | None) -> str:
    """Return bytes in binary units ("1.5 MiB"), "–" for unknown."""
    if count is None:
        return "–"
    value, units = float(count), ["B", "KiB", "MiB", "GiB", "TiB"]
    while value >= 1024 and len(units) > 1:
        value, units = value / 1024, units[1:]
    return f"{value:.0f} B" if units[0] == "B" else f"{value:.1f} {units[0]}"
