"""`labrt image base NAME`: a base image, made on this host: busybox, debian, python."""

from __future__ import annotations

import argparse

HELP = "build a base image where it is missing"


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("name", metavar="NAME")


def main(options: argparse.Namespace) -> int:
    from labrt.building import bases  # only now: `labrt run` needs none of it

    image = bases.ensure(options.name)
    print(f"{image.name} {image.digest}")
    return 0
