"""The tables on a terminal (rich)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from rich import box
from rich.console import Console
from rich.padding import Padding
from rich.table import Table as RichTable
from rich.text import Text

from bench import tables, views
from bench.observations import Observation
from bench.tables import Table


def show(rows: Sequence[Observation], console: Console) -> None:
    """Print every table that the rows allow, the overview last: that is what stays in sight."""
    for table in views.all_tables(rows):
        print_table(table, console)
    for table in tables.overviews(rows):
        print_table(table, console)


def print_table(table: Table, console: Console) -> None:
    """Print one table with its notes."""
    shown = RichTable(
        title=table.title,
        title_justify="left",
        title_style="bold",
        box=box.SIMPLE_HEAD,
        show_edge=False,
        pad_edge=False,
        padding=(0, 1, 0, 0),
    )
    for number, column in enumerate(table.columns):
        words = number == 0 or column in tables.WORDS
        justify: Literal["left", "right"] = "left" if words else "right"
        one_line = number > 0 and column not in tables.WORDS
        shown.add_column(column, justify=justify, overflow="fold", no_wrap=one_line)
    for row in table.rows:
        shown.add_row(*(Text(cell) for cell in row))
    console.print(shown)
    for note in table.notes:
        console.print(Padding(Text(note), (0, 0, 0, 2)))
    console.print()
