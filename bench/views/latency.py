"""The kernel's latency, shown."""

from __future__ import annotations

from bench.views._work import view

VIEW = view(
    "latency",
    "The kernel's latency: time of one system call, context switch, page fault, fork",
    "Each stroke is one instance, each mark a median with its interval; further left is faster.",
)
