"""`labrt-oci resume ID`: let its processes go on."""

from __future__ import annotations

from types import SimpleNamespace

from labrt.oci import lifecycle
from labrt.oci.words import Option

HELP = "let a paused container's processes go on"
OPTIONS: tuple[Option, ...] = ()
OPERANDS = "ID"


def main(given: SimpleNamespace) -> int:
    lifecycle.resume(given.id)
    return 0
