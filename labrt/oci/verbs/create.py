"""`labrt-oci create ID`: make a bundle's container; its program waits for `start`."""

from __future__ import annotations

from types import SimpleNamespace

from labrt.oci import bundles

HELP = "make a bundle's container; its program waits for start"
OPTIONS = bundles.OPTIONS
OPERANDS = "ID"


def main(given: SimpleNamespace) -> int:
    bundles.make(bundles.declared(given), given)
    return 0
