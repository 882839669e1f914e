"""`labrt gc`: remove what dead owners left behind."""

from __future__ import annotations

import argparse

from labrt import leftovers

HELP = "remove what crashes have left behind"


def arguments(parser: argparse.ArgumentParser) -> None:
    del parser  # none


def main(options: argparse.Namespace) -> int:
    for what in leftovers.collect():
        print(f"removed {what}")
    return 0
