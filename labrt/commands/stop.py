"""`labrt stop CONTAINER…`."""

from __future__ import annotations

import argparse

from labrt.commands import container_names, each

HELP = "ask containers to end, kill them if they don't"


def arguments(parser: argparse.ArgumentParser) -> None:
    container_names(parser)
    parser.add_argument("-t", "--time", metavar="SECONDS", type=float, help="how long to wait")


def main(options: argparse.Namespace) -> int:
    return each(options.containers, lambda handle: handle.stop(options.time))
