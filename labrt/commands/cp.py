"""`labrt cp CONTAINER:PATH PATH|-`, `labrt cp PATH|- CONTAINER:PATH`."""

from __future__ import annotations

import argparse

from labrt import copying, state
from labrt.copying import Manner
from labrt.errors import LabError

HELP = "copy files into or out of a container, running or not"


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("source", metavar="[CONTAINER:]PATH|-")
    parser.add_argument("target", metavar="[CONTAINER:]PATH|-")
    parser.add_argument("-a", "--archive", action="store_true", help="keep owners, as numbers")
    parser.add_argument(
        "-L", "--follow-link", action="store_true", help="copy what a link leads to"
    )


def main(options: argparse.Namespace) -> int:
    source, path = _container(options.source)
    target, place = _container(options.target)
    if bool(source) == bool(target):
        raise LabError(
            f"copy {options.source} to {options.target}",
            "exactly one of the two must be in a container",
            remedy="write it as CONTAINER:PATH; a path of the host with a ':' begins with / or .",
        )
    manner = Manner(options.archive, options.follow_link)
    if source:
        copying.copy_out(state.find(source), path, place, manner)
    else:
        copying.copy_in(state.find(target), path, place, manner)
    return 0


def _container(text: str) -> tuple[str, str]:
    """Return the container's name ("" for the host) and the path in it."""
    name, colon, path = text.partition(":")
    if not colon or text.startswith(("/", ".")):
        return "", text
    return name, path
