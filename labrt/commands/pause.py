"""`labrt pause CONTAINER…`."""

from __future__ import annotations

import argparse

from labrt.commands import container_names, each

HELP = "stop all processes of containers where they are"


def arguments(parser: argparse.ArgumentParser) -> None:
    container_names(parser)


def main(options: argparse.Namespace) -> int:
    return each(options.containers, lambda handle: handle.pause())
