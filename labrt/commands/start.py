"""`labrt start CONTAINER…`: start what was created, or has ended; it goes on by itself."""

from __future__ import annotations

import argparse

from labrt import logs, removal
from labrt.commands.attach import watch
from labrt.handle import find

HELP = "start containers that were created, or have ended"


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("containers", metavar="CONTAINER", nargs="+")
    parser.add_argument("-a", "--attach", action="store_true", help="show its output; one only")
    parser.add_argument("-i", "--interactive", action="store_true", help="type into it, too")


def main(options: argparse.Namespace) -> int:
    removal.remove_dead()
    handles = [find(name) for name in options.containers]
    status = 0
    for handle, name in zip(handles, options.containers, strict=True):
        since = logs.size(handle.folder)
        handle.start()
        if options.attach:
            status = watch(handle, options.interactive, since)
        else:
            print(name)
    return status
