"""`labrt gc`: remove what dead owners left behind."""

from __future__ import annotations

import argparse

from labrt import removal

HELP = "remove what crashes have left behind"


def arguments(parser: argparse.ArgumentParser) -> None:
    del parser  # none


def main(options: argparse.Namespace) -> int:
    for name in removal.remove_dead():
        print(f"removed {name}")
    return 0
