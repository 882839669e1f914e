"""`labrt build -t NAME DIR`: make an image from a Containerfile."""

from __future__ import annotations

import argparse
import os
from dataclasses import replace
from pathlib import Path

from labrt import removal
from labrt.errors import LabError
from labrt.foreground import stdio
from labrt.options import LIMITS, add_arguments, parsed

HELP = "make an image from a Containerfile"


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("folder", metavar="DIR", help="the context: what COPY takes from")
    parser.add_argument("-t", "--tag", metavar="NAME", required=True, help="the image's name")
    parser.add_argument(
        "-f", "--file", metavar="FILE", help="default: DIR/Containerfile, DIR/Dockerfile"
    )
    parser.add_argument(
        "--build-arg", metavar="NAME[=VALUE]", action="append", default=[], help="a value for ARG"
    )
    parser.add_argument("--target", metavar="STAGE", default="", help="default: the last")
    parser.add_argument("--no-cache", action="store_true", help="do every step anew")
    add_arguments(parser, only=("network", "dns", "add_host", "shm_size", "ulimit", *LIMITS))


def main(options: argparse.Namespace) -> int:
    from labrt.building.builder import (  # here, for `labrt help` needs none of it
        Wish,
        build,
        network,
    )

    removal.remove_dead()
    wishes = parsed(options)
    with stdio(interactive=False) as (null, _out, _err):
        wish = Wish(
            folder=Path(options.folder),
            tag=options.tag,
            file=Path(options.file) if options.file else None,
            arguments=dict(map(_argument, options.build_arg)),
            target=options.target,
            use_cache=not options.no_cache,
            options=replace(wishes, network=wishes.network or network()),
            stdin=null,
        )
        print(build(wish).digest)
    return 0


def _argument(text: str) -> tuple[str, str]:
    """NAME=VALUE, or NAME for the value that it has in our environment."""
    name, equals, value = text.partition("=")
    if not name:
        raise LabError(f"read --build-arg {text!r}", "it has no name", remedy="NAME=VALUE")
    return name, value if equals else os.environ.get(name, "")
