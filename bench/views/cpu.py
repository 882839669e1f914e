"""Computing, shown."""

from __future__ import annotations

from bench import published
from bench.views import _published
from bench.views._work import view

VIEW = view(
    "cpu",
    "Computing: time for a fixed amount of it",
    "Each stroke is one instance, each mark a median with its interval; further left is faster.",
    sources=lambda: _published.table(published.COMPUTING, "Computing"),
)
