"""A labrt container with a network: a veth pair to a bridge, an address, a default route, and the
host's packet filter that masquerades it. The difference to `labrt` is what that costs.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from bench import bridge_port
from bench.subjects.labrt import Labrt


class LabrtBridge(Labrt):
    name: ClassVar = "labrt-bridge"
    title: ClassVar = "labrt, bridge"
    options: Mapping[str, Any] = {"network": "bridge"}

    def unavailable(self) -> str | None:
        return super().unavailable() or bridge_port.unavailable()
