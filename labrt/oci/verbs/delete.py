"""`labrt-oci delete ID`: remove what create has made."""

from __future__ import annotations

from types import SimpleNamespace

from labrt.oci import lifecycle
from labrt.oci.words import Option

HELP = "remove a container that has ended"
OPTIONS = (Option("force", "end it, if it runs", short="f"),)
OPERANDS = "ID"


def main(given: SimpleNamespace) -> int:
    lifecycle.delete(given.id, given.force)
    return 0
