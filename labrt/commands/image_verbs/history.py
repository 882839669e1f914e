"""`labrt image history`, `labrt history`."""

from __future__ import annotations

import argparse
import json

from labrt.images import naming, store
from labrt.images.history import Made, history
from labrt.tables import size, table

HELP = "tell what made each layer of an image"
_WIDTH = 60  # characters of what was done


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--json", action="store_true", help="one JSON object a line")
    parser.add_argument("--no-trunc", action="store_true", help="all of each instruction")
    parser.add_argument("image", metavar="IMAGE", help="a name or a digest")


def main(options: argparse.Namespace) -> int:
    made = history(store.resolve(options.image))[::-1]  # the newest first, as Docker has it
    if options.json:
        print("".join(f"{json.dumps(each._asdict())}\n" for each in made), end="")
    else:
        width = None if options.no_trunc else _WIDTH
        rows = [_row(each, width) for each in made]
        print(table(("LAYER", "CREATED BY", "SIZE"), rows), end="")
    return 0


def _row(made: Made, width: int | None) -> list[str]:
    told = ascii(made.created_by)[1:-1] or "<not told>"  # a hostile image may write anything
    return [naming.short(made.digest) or "<none>", told[:width], size(made.size)]
