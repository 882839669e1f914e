"""`labrt clean`: end and remove every container of this LAB_HOME, and the bridges they used."""

from __future__ import annotations

import argparse

from labrt import cgroups, launching, networks, removal

HELP = "end and remove the lab's containers"


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--dead", action="store_true", help="only those whose owner is gone")


def main(options: argparse.Namespace) -> int:
    if not options.dead:
        launching.end_fork_server()
        launching.close_shared()
    for name in removal.remove_dead() if options.dead else removal.remove_all():
        print(f"removed {name}")
    cgroups.remove_top()
    for name in networks.remove_unused():
        print(f"removed the bridge of the network {name}")
    return 0
