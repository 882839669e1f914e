"""`labrt forkserver [--end]`."""

from __future__ import annotations

import argparse

from labrt import launching

HELP = "have commands done by a process that has read all modules"


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--end", action="store_true", help="end it")


def main(options: argparse.Namespace) -> int:
    if not options.end:
        launching.start_fork_server()
    elif not launching.end_fork_server():
        print("none runs")
    return 0
