"""`labrt restart CONTAINER…`."""

from __future__ import annotations

import argparse

from labrt.commands import container_names, each
from labrt.handle import Handle

HELP = "stop containers and start them again"


def arguments(parser: argparse.ArgumentParser) -> None:
    container_names(parser)
    parser.add_argument("-t", "--time", metavar="SECONDS", type=float, help="how long to wait")


def main(options: argparse.Namespace) -> int:
    def restart(handle: Handle) -> None:
        handle.stop(options.time)
        handle.start()

    return each(options.containers, restart)
