"""`labrt wait CONTAINER…`: wait for their end, print their exit codes."""

from __future__ import annotations

import argparse

from labrt.handle import find

HELP = "wait until containers have ended, print their exit codes"


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("containers", metavar="CONTAINER", nargs="+")


def main(options: argparse.Namespace) -> int:
    for handle in [find(name) for name in options.containers]:
        code = handle.wait()
        print("unknown" if code is None else code)
    return 0
