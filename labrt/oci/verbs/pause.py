"""`labrt-oci pause ID`: stop all its processes where they are."""

from __future__ import annotations

from types import SimpleNamespace

from labrt.oci import lifecycle
from labrt.oci.words import Option

HELP = "stop all of a container's processes where they are"
OPTIONS: tuple[Option, ...] = ()
OPERANDS = "ID"


def main(given: SimpleNamespace) -> int:
    lifecycle.pause(given.id)
    return 0
