"""`labrt commit CONTAINER IMAGE`: make an image of a container: its image, and one more layer of
what it has changed."""

from __future__ import annotations

import argparse

from labrt.building.committing import commit
from labrt.handle import find

HELP = "make an image of a container that has ended"


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("container", metavar="CONTAINER")
    parser.add_argument("image", metavar="IMAGE", help="the new image's name")


def main(options: argparse.Namespace) -> int:
    print(commit(find(options.container).folder, options.image).digest)
    return 0
