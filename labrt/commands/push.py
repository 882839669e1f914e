"""`labrt push IMAGE [DESTINATION]`: send an image to a registry."""

from __future__ import annotations

import argparse
import sys

from rich.filesize import decimal

from labrt.commands.pull import access, transfer_arguments
from labrt.images import progress, registry, store

HELP = "send an image to a registry"


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("image", metavar="IMAGE", help="an image of the store")
    parser.add_argument(
        "destination",
        metavar="DESTINATION",
        nargs="?",
        default="",
        help="REGISTRY/NAME[:TAG], where it isn't the image's own name",
    )
    transfer_arguments(parser)


def main(options: argparse.Namespace) -> int:
    image = store.resolve(options.image)
    with progress.shown(options.quiet) as shown:
        done = registry.push(image, options.destination, access(options), shown)
    if not options.quiet:
        sent, mounted, there = map(decimal, (done.sent, done.mounted, done.skipped))
        print(f"{sent} sent, {mounted} mounted, {there} there already", file=sys.stderr)
    print(f"{done.reference} {done.digest}")
    return 0
