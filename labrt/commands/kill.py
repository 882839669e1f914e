"""`labrt kill CONTAINER…`."""

from __future__ import annotations

import argparse

from labrt.commands import container_names, each
from labrt.life import signal_named

HELP = "send containers a signal"


def arguments(parser: argparse.ArgumentParser) -> None:
    container_names(parser)
    parser.add_argument("-s", "--signal", metavar="SIGNAL", default="KILL", help="default: KILL")


def main(options: argparse.Namespace) -> int:
    number = signal_named(options.signal)
    return each(options.containers, lambda handle: handle.signal(number))
