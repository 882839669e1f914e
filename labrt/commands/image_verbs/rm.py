"""`labrt image rm`, `labrt rmi`."""

from __future__ import annotations

import argparse
import sys

from labrt.errors import LabError
from labrt.images import naming

HELP = "take away names of images; labrt image gc then frees the room"


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "-f", "--force", action="store_true", help="also while containers use it, with all names"
    )
    parser.add_argument("images", metavar="IMAGE", nargs="+", help="a name or a digest")


def main(options: argparse.Namespace) -> int:
    status = 0
    for image in options.images:
        try:
            print("\n".join(naming.remove(image, options.force)))
        except LabError as error:
            print(f"labrt: {error}", file=sys.stderr)
            status = 1
    return status
