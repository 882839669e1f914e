"""`labrt-oci kill ID [SIGNAL]`: send a container's process a signal."""

from __future__ import annotations

import signal
from types import SimpleNamespace

from labrt.errors import LabError
from labrt.oci import lifecycle
from labrt.oci.words import Option

HELP = "send a container's process a signal"
OPTIONS = (Option("all", "all its processes", short="a"),)
OPERANDS = "ID [SIGNAL]"


def main(given: SimpleNamespace) -> int:
    lifecycle.kill(given.id, number(given.signal or "TERM"), given.all)
    return 0


def number(name: str) -> int:
    """Return a signal's number: by name, by number, or as engines name real-time ones, "RTMIN+3".
    0 is none, and asks whether one could be sent (kill(2)).

    Raises:
        LabError: there is none.
    """
    base, _, offset = name.upper().removeprefix("SIG").partition("+")
    try:
        found = int(base) if base.isdecimal() else signal.Signals[f"SIG{base}"]
        found += int(offset or 0)
    except (KeyError, ValueError):
        found = -1
    if not 0 <= found <= signal.SIGRTMAX:
        remedy = "name one, such as TERM or 15; kill -l lists them"
        raise LabError(f"use the signal {name!r}", "there is none", remedy=remedy)
    return found
