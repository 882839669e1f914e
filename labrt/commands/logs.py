"""`labrt logs CONTAINER`."""

from __future__ import annotations

import argparse
import sys

from labrt import logs
from labrt.errors import LabError
from labrt.handle import Handle, find

HELP = "show what a detached container wrote"


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("container", metavar="CONTAINER")
    parser.add_argument("-f", "--follow", action="store_true", help="go on until it ends")
    parser.add_argument("-n", "--tail", metavar="N", default="all", help="only the last N lines")


def main(options: argparse.Namespace) -> int:
    handle = find(options.container)
    for data in handle.logs(options.follow, _since(handle, options.tail)):
        sys.stdout.buffer.write(data)
        sys.stdout.buffer.flush()
    return 0


def _since(handle: Handle, tail: str) -> int:
    if tail == "all":
        return 0
    if not (tail.isascii() and tail.isdigit()):
        raise LabError(f"show the last {tail!r} lines", "not a number", remedy="--tail 10, or all")
    return logs.last_lines(handle.folder, int(tail))
