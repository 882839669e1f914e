"""`labrt image import`, `labrt import`: a root file system becomes an image."""

from __future__ import annotations

import argparse

HELP = "make an image of a root file system's tar archive"


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "-c",
        "--change",
        metavar="INSTRUCTION",
        action="append",
        default=[],
        help="CMD, ENTRYPOINT, ENV, EXPOSE, LABEL, STOPSIGNAL, USER, VOLUME or WORKDIR …",
    )
    parser.add_argument("file", metavar="FILE", help="-: standard input")
    parser.add_argument("name", metavar="NAME", nargs="?", default="", help="the image's name")


def main(options: argparse.Namespace) -> int:
    from labrt.images import importing  # only now: it takes tar and compression along

    print(importing.import_root(options.file, options.name, options.change).digest)
    return 0
