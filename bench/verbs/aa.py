"""`./lab bench aa`: does the bench call a subject different from itself? It may, once in twenty."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bench import verbs

if TYPE_CHECKING:
    from bench.subjects.base import Subject

HELP = "compare a subject with itself; exit status 3 if it is called different too often"

TOO_OFTEN = 3


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--subject", default="process", help="default: %(default)s, for it is fast")
    parser.add_argument("--comparisons", type=verbs.positive, metavar="N", default=20)
    parser.add_argument(
        "--n", type=verbs.positive, default=30, help="samples of each side (default: %(default)s)"
    )
    parser.add_argument("--image", default="busybox", help="default: %(default)s")
    parser.add_argument("--connect", metavar="URI", help="libvirt; default: qemu:///embed")
    parser.add_argument("--seed", type=int, help="order of the samples; default: drawn")
    parser.add_argument("--out", type=Path, metavar="DIR", default=verbs.RESULTS)
    parser.add_argument("--json", action="store_true", help="the comparisons as JSON")


def main(options: argparse.Namespace) -> int:
    from rich.console import Console

    from bench import run, screen, statistics, twins
    from bench.observations import ROWS, read

    folder, ended = run.compare(_request(options), make=_twin)
    if ended is not None:
        print(f"lab bench: interrupted ({ended}): no verdict", file=sys.stderr)
        return ended.status
    rows, _ = read(folder / ROWS)
    failed = len(statistics.failures(rows))
    found = twins.comparisons(rows, options.subject, options.n)
    if options.json:
        print(json.dumps(twins.figures(found, failed), indent=2))
    else:
        screen.print_table(twins.table(found, options.subject, failed), Console())
        print(folder / ROWS)
    return TOO_OFTEN if sum(each.different for each in found) > twins.allowed(len(found)) else 0


def _request(options: argparse.Namespace) -> Any:
    """Ask for start-ups of both, in turns, as many as all comparisons take."""
    from dataclasses import replace

    from bench import run, twins
    from bench.experiments.base import FULL

    return run.Request(
        subjects=twins.names(options.subject),
        experiments=["startup"],
        image=options.image,
        connection=options.connect,
        settings=replace(FULL, n=options.n * options.comparisons),
        seed=options.seed,
        out=options.out,
    )


def _twin(name: str, **options: str | None) -> Subject:
    """Make one of two subjects that differ in nothing but their name.

    Raises:
        LabError: there is no such subject.
    """
    from bench import subjects

    original, _, side = name.rpartition("-")
    twin = subjects.make(original, **options)
    vars(twin).update(name=name, title=f"{twin.title} {side.upper()}")
    return twin
