"""`labrt resume CONTAINER…`; Docker calls it unpause."""

from __future__ import annotations

import argparse

from labrt.commands import container_names, each

HELP = "let paused containers go on"


def arguments(parser: argparse.ArgumentParser) -> None:
    container_names(parser)


def main(options: argparse.Namespace) -> int:
    return each(options.containers, lambda handle: handle.resume())
