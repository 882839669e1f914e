"""Work on a disk, shown."""

from __future__ import annotations

from bench import published
from bench.views import _published
from bench.views._work import view

VIEW = view(
    "disk",
    "Disk: bytes per second (read, write), time of one request (the others)",
    "Each stroke is one instance, each mark a median with its interval. Of read and write further "
    "right is faster, of the others further left.",
    sources=lambda: _published.table(published.DISK, "Disk"),
)
