"""`labrt image load`, `labrt load`."""

from __future__ import annotations

import argparse

HELP = "take in images from an archive of docker save, podman save or skopeo"


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "-i", "--input", metavar="FILE", default="-", help="default: -, standard input"
    )


def main(options: argparse.Namespace) -> int:
    from labrt.images import interchange  # only now: it takes tar and compression along

    for entry in interchange.load(options.input):
        print(f"{entry.name or '<none>'} {entry.digest}")
    return 0
