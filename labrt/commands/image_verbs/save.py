"""`labrt image save`, `labrt save`."""

from __future__ import annotations

import argparse

HELP = "write images into an archive for other tools"
_FORMATS = ("docker-archive", "oci-archive")


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "-o", "--output", metavar="FILE", default="-", help="default: -, standard output"
    )
    parser.add_argument(
        "--format", choices=_FORMATS, default=_FORMATS[0], help=f"default: {_FORMATS[0]}"
    )
    parser.add_argument("images", metavar="IMAGE", nargs="+", help="a name or a digest")


def main(options: argparse.Namespace) -> int:
    from labrt.images import interchange  # only now: it takes tar and compression along

    interchange.save(options.output, options.images, options.format)
    return 0
