"""`labrt-oci state ID`: where in its life a container is, as JSON."""

from __future__ import annotations

import argparse
import json

from labrt.oci import lifecycle

HELP = "tell a container's state as JSON"


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("id", metavar="ID")


def main(options: argparse.Namespace) -> int:
    print(json.dumps(lifecycle.told(*lifecycle.find(options.id)), indent=2))
    return 0
