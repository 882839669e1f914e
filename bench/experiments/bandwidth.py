"""Memory bandwidth: how fast an instance reads and writes memory that no cache holds."""

from __future__ import annotations

from typing import ClassVar

from bench.experiments._work import METHOD, WorkExperiment
from bench.work import Part


class Bandwidth(WorkExperiment):
    name: ClassVar = "bandwidth"
    title: ClassVar = "Memory bandwidth"
    question: ClassVar = "How fast does an instance read and write memory?"
    method: ClassVar = METHOD + (
        " The triad of STREAM (McCalpin, 1995): a = b + s × c over three arrays of 16 MiB each, "
        "eight times; every page is there before it begins. Counted are the bytes that the program "
        "reads and writes, not what the caches add."
    )
    limits: ClassVar = (
        "One thread doesn't fill a server's memory channels. Where the last cache is larger than "
        "48 MiB, part of this is the cache's bandwidth."
    )
    parts: ClassVar = ("triad",)
    metric: ClassVar = "rate"
    unit: ClassVar = "B/s"

    def value(self, part: Part) -> float:
        return part.rate
