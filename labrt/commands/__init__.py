"""One thin file per command of `labrt`: HELP, its arguments, and `main`, which returns the exit
status. The file's name is the command's; a new command is one new file."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from typing import TYPE_CHECKING

from labrt.errors import LabError

if TYPE_CHECKING:
    from labrt.handle import Handle


def container_names(parser: argparse.ArgumentParser) -> None:
    """Add one or more containers, by name or id."""
    parser.add_argument("containers", metavar="CONTAINER", nargs="+")


def each(names: list[str], do: Callable[[Handle], object]) -> int:
    """Do something to each container; print the name of each that it was done to.

    Returns:
        The exit status: 1 if one of them failed, as Docker's.
    """
    from labrt.handle import find  # here, for `labrt help` needs none of it

    status = 0
    for name in names:
        try:
            do(find(name))
            print(name)
        except LabError as error:
            print(f"labrt: {error}", file=sys.stderr)
            status = 1
    return status
