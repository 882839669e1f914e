"""`labrt-oci kill ID [SIGNAL]`: send a container's process a signal."""

from __future__ import annotations

import argparse

from labrt.life import signal_named
from labrt.oci import lifecycle

HELP = "send a container's process a signal"


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("-a", "--all", action="store_true", help="all its processes")
    parser.add_argument("id", metavar="ID")
    parser.add_argument("signal", metavar="SIGNAL", nargs="?", default="TERM")


def main(options: argparse.Namespace) -> int:
    lifecycle.kill(options.id, signal_named(options.signal), options.all)
    return 0
