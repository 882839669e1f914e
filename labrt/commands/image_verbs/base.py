"""`labrt image base NAME`: a base image, made on this host."""

from __future__ import annotations

import argparse

HELP = "build a base image where it is missing"


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("name", metavar="NAME")


def main(options: argparse.Namespace) -> int:
    from labrt.images import base  # only now: it takes tar and subprocess along

    image = base.ensure(options.name)
    print(f"{image.name} {image.digest}")
    return 0
