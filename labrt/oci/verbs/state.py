"""`labrt-oci state ID`: where in its life a container is, as JSON."""

from __future__ import annotations

import json
from types import SimpleNamespace

from labrt.oci import lifecycle
from labrt.oci.words import Option

HELP = "tell a container's state as JSON"
OPTIONS: tuple[Option, ...] = ()
OPERANDS = "ID"


def main(given: SimpleNamespace) -> int:
    print(json.dumps(lifecycle.told(*lifecycle.find(given.id)), indent=2))
    return 0
