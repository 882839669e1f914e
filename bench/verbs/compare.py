"""`./lab bench compare A B`: is run B worse than run A? For people, and for CI by exit status."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from bench.comparison import Line
    from bench.observations import Observation

HELP = "compare two runs; exit status 3 if the second is worse than --fail-above allows"

WORSE = 3


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("a", metavar="A", type=Path, help="the run to compare with (its folder)")
    parser.add_argument("b", metavar="B", type=Path, help="the run in question")
    parser.add_argument(
        "--fail-above",
        metavar="PERCENT",
        type=float,
        help="exit status 3 if a number is worse by more, and called different, or only fails",
    )
    parser.add_argument(
        "--across-hosts", action="store_true", help="compare runs of two hosts all the same"
    )
    parser.add_argument("--json", action="store_true", help="the comparison as JSON")


def main(options: argparse.Namespace) -> int:
    from bench import comparison
    from labrt.errors import LabError

    (a, said_a), (b, said_b) = (_rows(folder) for folder in (options.a, options.b))
    lines = comparison.compare(a, b, options.across_hosts)
    left_out = [*said_a, *said_b]
    if not any(line.found or line.broken for line in lines):
        reasons = sorted({line.verdict for line in lines}) or ["neither has a row"]
        raise LabError("compare the runs", "; ".join([*reasons, *left_out]))
    notes = [f"{said}." for said in left_out] + _hosts([*a, *b])
    if options.json:
        _print_json(lines, notes)
    else:
        from rich.console import Console

        from bench import screen

        screen.print_table(comparison.table(lines, notes), Console())
    if options.fail_above is None:
        return 0
    worse = [line for line in lines if line.worse_than(options.fail_above)]
    for line in worse:
        print(f"lab bench: {comparison.name(line.number)}: {line.verdict}", file=sys.stderr)
    return WORSE if worse else 0


def _rows(folder: Path) -> tuple[list[Observation], list[str]]:
    """Return a run's rows, and what to say of those that can't be read.

    Raises:
        LabError: there is no such run, or a pattern means several.
    """
    from bench import frame, observations
    from labrt.errors import LabError

    file, *others = frame.files(folder)
    if others:
        told = f"it means {len(others) + 1} runs"
        raise LabError(f"compare {folder}", told, remedy="name one of them")
    rows, damage = observations.read(file)
    return rows, observations.told(file, damage, len(rows))


def _hosts(rows: list[Observation]) -> list[str]:
    hosts = sorted({str(row.conditions.get("host")) for row in rows})
    if len(hosts) == 1:
        return []
    return [f"The hosts differ ({', '.join(hosts)}): a difference may be theirs alone."]


def _print_json(lines: list[Line], notes: list[str]) -> None:
    import json

    from bench import comparison

    print(json.dumps({"lines": comparison.figures(lines), "notes": notes}, indent=2))
