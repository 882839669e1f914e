"""Memory bandwidth, shown."""

from __future__ import annotations

from bench.views._work import view

VIEW = view(
    "bandwidth",
    "Memory bandwidth: bytes read and written per second",
    "Each stroke is one instance, each mark a median with its interval; further right is faster.",
)
