"""`labrt inspect CONTAINER…`: all that is known of them, as JSON."""

from __future__ import annotations

import argparse
import json

from labrt.handle import find

HELP = "print all that is known of containers, as JSON"


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("containers", metavar="CONTAINER", nargs="+")


def main(options: argparse.Namespace) -> int:
    told = [find(name).inspect() for name in options.containers]
    print(json.dumps(told, indent=2))
    return 0
