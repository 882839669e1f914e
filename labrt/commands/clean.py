"""`labrt clean`: end and remove every container of this LAB_HOME."""

from __future__ import annotations

import argparse

from labrt import launching, removal

HELP = "end and remove the lab's containers"


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--dead", action="store_true", help="only those whose owner is gone")


def main(options: argparse.Namespace) -> int:
    if not options.dead:
        launching.close_shared()
    for name in removal.remove_dead() if options.dead else removal.remove_all():
        print(f"removed {name}")
    return 0
