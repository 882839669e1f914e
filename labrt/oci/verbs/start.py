"""`labrt-oci start ID`: let a created container's program begin."""

from __future__ import annotations

from types import SimpleNamespace

from labrt.oci import lifecycle
from labrt.oci.words import Option

HELP = "let a created container's program begin"
OPTIONS: tuple[Option, ...] = ()
OPERANDS = "ID"


def main(given: SimpleNamespace) -> int:
    lifecycle.start(given.id)
    return 0
