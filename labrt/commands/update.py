"""`labrt update CONTAINER…`: change the limits of running containers."""

from __future__ import annotations

import argparse

from labrt.commands import container_names, each
from labrt.options import LIMITS, add_arguments, parsed

HELP = "change the limits of running containers"


def arguments(parser: argparse.ArgumentParser) -> None:
    add_arguments(parser, only=LIMITS)
    container_names(parser)


def main(options: argparse.Namespace) -> int:
    wishes = parsed(options)
    return each(options.containers, lambda handle: handle.update(wishes))
