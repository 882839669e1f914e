"""`labrt events`: what happens to containers, one JSON line each."""

from __future__ import annotations

import argparse
import json

from labrt import events

HELP = "print what happens to containers, as JSON lines"


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--no-follow", action="store_true", help="only what has happened so far")
    parser.add_argument("--past", action="store_true", help="also what has happened so far")


def main(options: argparse.Namespace) -> int:
    if options.past or options.no_follow:
        for event in events.past():
            print(json.dumps(event), flush=True)
    if not options.no_follow:
        for event in events.coming():
            print(json.dumps(event), flush=True)
    return 0
