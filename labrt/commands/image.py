"""`labrt image ls`, `labrt image base NAME`."""

from __future__ import annotations

import argparse

from labrt.images import base, store

HELP = "list images; build a base image"


def arguments(parser: argparse.ArgumentParser) -> None:
    verbs = parser.add_subparsers(metavar="VERB", dest="verb", required=True)
    verbs.add_parser("ls", help="list the images of the store")
    build = verbs.add_parser("base", help="build a base image where it is missing")
    build.add_argument("name", metavar="NAME")


def main(options: argparse.Namespace) -> int:
    if options.verb == "base":
        image = base.ensure(options.name)
        print(f"{image.name} {image.digest}")
        return 0
    for name in store.names():
        print(f"{name:20} {store.resolve(name).digest}")
    return 0
