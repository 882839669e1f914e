"""`labrt-oci start ID`: let a created container's program begin."""

from __future__ import annotations

import argparse

from labrt.oci import lifecycle

HELP = "let a created container's program begin"


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("id", metavar="ID")


def main(options: argparse.Namespace) -> int:
    lifecycle.start(options.id)
    return 0
