"""`./lab bench claims`: what do the numbers measured on this host say of each claim?"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bench import verbs

if TYPE_CHECKING:
    from bench.run import Request

HELP = "judge the claims about containers and VMs by a run's rows; without one, measure first"

MARKDOWN, JSON = "claims.md", "claims.json"


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("run", metavar="RUN", nargs="?", type=Path, help="a run's folder")
    parser.add_argument(
        "--subjects",
        metavar="A,B",
        type=lambda text: text.split(","),
        help="whom to measure; default: process,labrt,vm",
    )
    parser.add_argument("--n", type=verbs.positive, help="samples of each experiment that repeats")
    parser.add_argument("--image", default="busybox", help="default: %(default)s")
    parser.add_argument("--connect", metavar="URI", help="libvirt; default: qemu:///embed")
    parser.add_argument("--seed", type=int, help="order of the samples; default: drawn")
    parser.add_argument("--out", type=Path, metavar="DIR", default=verbs.RESULTS)
    parser.add_argument("--json", action="store_true", help="the verdicts as JSON")


def main(options: argparse.Namespace) -> int:
    from bench import run

    folder, ended = (options.run, None) if options.run else run.compare(request(options))
    if ended is None:
        if not options.run:
            run.conclude(folder)
        return conclude(folder, options.json)
    print(f"lab bench: interrupted ({ended}): no verdicts; --resume {folder}", file=sys.stderr)
    return ended.status


def request(options: argparse.Namespace) -> Request:
    """Ask for every experiment that a claim needs, as quick as they go."""
    from dataclasses import replace

    from bench import claims, experiments, run
    from bench.experiments.base import QUICK
    from bench.statistics import ENOUGH

    there = set(experiments.names())
    # Fewer samples couldn't enclose a median, and none of their rounds is left out.
    settings = replace(QUICK, n=options.n or ENOUGH, round_seconds=None)
    return run.Request(
        subjects=options.subjects,
        experiments=[name for name in claims.experiments() if name in there],
        image=options.image,
        connection=options.connect,
        settings=settings,
        seed=options.seed,
        out=options.out,
    )


def conclude(folder: Path, as_json: bool) -> int:
    """Judge a run, write the verdicts beside its rows, and show them."""
    from rich.console import Console

    from bench import claims, host, run, screen
    from bench.claims import told

    rows = run.read_and_tell(folder)
    judged = claims.judge(rows)
    about = host.describe(run.read_host(folder))
    name = rows[0].run if rows else folder.resolve().name
    found = told.figures(judged, name, about)
    _write(folder, told.markdown(judged, name, about), found)
    if as_json:
        print(json.dumps(found, indent=2))
        return 0
    screen.print_table(told.short(judged), Console())
    print(folder / MARKDOWN, folder / JSON, sep="\n")
    return 0


def _write(folder: Path, text: str, found: dict[str, Any]) -> None:
    """Write both files.

    Raises:
        LabError: they can't be written.
    """
    from bench import run
    from labrt.errors import LabError, errno_text

    try:
        (folder / MARKDOWN).write_text(text)
        (folder / JSON).write_text(json.dumps(found, indent=2) + "\n")
    except OSError as error:
        raise LabError(f"write the verdicts in {folder}", errno_text(error)) from error
    finally:
        run.give_to_caller(folder)
