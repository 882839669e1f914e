"""`labrt-oci delete ID`: remove what create has made."""

from __future__ import annotations

import argparse

from labrt.oci import lifecycle

HELP = "remove a container that has ended"


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("-f", "--force", action="store_true", help="end it, if it runs")
    parser.add_argument("id", metavar="ID")


def main(options: argparse.Namespace) -> int:
    lifecycle.delete(options.id, options.force)
    return 0
