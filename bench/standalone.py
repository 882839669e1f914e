"""What the measurements that are programs of their own share: `python -m bench.NAME [--json]`."""

from __future__ import annotations

import argparse
import json
import statistics
import sys
from collections.abc import Callable, Mapping, Sequence

from rich.console import Console

from bench import interrupts, screen, units
from bench.tables import Table
from labrt.errors import LabError

# What was asked for → the figures, and the table that shows them.
Measure = Callable[[argparse.Namespace], tuple[Mapping[str, object], Table]]


def main(parser: argparse.ArgumentParser, measure: Measure) -> int:
    """Measure and print, as a table or as JSON.

    Returns:
        The exit status: 1, after one line, where it can't be measured.
    """
    parser.add_argument("--json", action="store_true", help="the figures as JSON")
    options = parser.parse_args()
    name = parser.prog.removeprefix("bench.")
    try:
        with interrupts.raised():
            figures, table = measure(options)
    except interrupts.Interrupted as interrupt:
        print(f"{name}: {interrupt}; all containers are gone", file=sys.stderr)
        return interrupt.status
    except (LabError, OSError) as error:
        print(f"{name}: {error}", file=sys.stderr)
        return 1
    if options.json:
        print(json.dumps(figures, indent=2, ensure_ascii=False))
    else:
        screen.print_table(table, Console())
    return 0


def quartiles(name: str, seconds: Sequence[float]) -> list[str]:
    """Return a table's row: what was measured, the samples' median, and their quartiles."""
    low, middle, high = statistics.quantiles(seconds, n=4)
    return [name, units.text(middle, "s"), units.span(low, high, "s")]
