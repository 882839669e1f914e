"""`labrt image tag`, `labrt tag`."""

from __future__ import annotations

import argparse

from labrt.images import naming

HELP = "give an image one more name"


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("image", metavar="IMAGE", help="a name or a digest")
    parser.add_argument("name", metavar="NAME", help="the new name")


def main(options: argparse.Namespace) -> int:
    naming.tag(options.image, options.name)
    return 0
