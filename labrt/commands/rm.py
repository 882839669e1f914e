"""`labrt rm CONTAINER…`."""

from __future__ import annotations

import argparse

from labrt.commands import container_names, each

HELP = "remove containers with all that they wrote"


def arguments(parser: argparse.ArgumentParser) -> None:
    container_names(parser)
    parser.add_argument("-f", "--force", action="store_true", help="kill those that run")


def main(options: argparse.Namespace) -> int:
    return each(options.containers, lambda handle: handle.remove(options.force))
