"""`labrt logs CONTAINER`."""

from __future__ import annotations

import argparse
import sys

from labrt.handle import find

HELP = "show what a detached container wrote"


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("container", metavar="CONTAINER")
    parser.add_argument("-f", "--follow", action="store_true", help="go on until it ends")


def main(options: argparse.Namespace) -> int:
    for data in find(options.container).logs(options.follow):
        sys.stdout.buffer.write(data)
        sys.stdout.buffer.flush()
    return 0
