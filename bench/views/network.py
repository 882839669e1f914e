"""The network, shown."""

from __future__ import annotations

from bench import published
from bench.views import _published
from bench.views._work import view

VIEW = view(
    "network",
    "Network: a byte there and back; bytes a second",
    "Each stroke is one pair of instances, each mark a median with its interval. Of a roundtrip, "
    "further left is faster; of the others, further right. Plain processes use the loopback, the "
    "others the lab's bridge.",
    sources=lambda: _published.table(published.NETWORK, "Network"),
)
