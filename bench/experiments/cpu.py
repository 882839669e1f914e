"""CPU: how long a fixed amount of computing takes."""

from __future__ import annotations

from typing import ClassVar

from bench.experiments._work import METHOD, WorkExperiment
from bench.work import Part


class Cpu(WorkExperiment):
    name: ClassVar = "cpu"
    title: ClassVar = "Computing"
    question: ClassVar = "How long does a fixed amount of computing take?"
    method: ClassVar = METHOD + (
        " Integers: the Collatz steps of the first 200,000 numbers (branches and additions, no "
        "memory). Floats: sixteen products of two matrices of 192 × 192 doubles (in the cache). "
        "Their results are compared."
    )
    limits: ClassVar = (
        "A program without system calls: what a kernel or a hypervisor adds to input and output "
        "isn't in it. Under TCG every instruction is translated in software; under KVM the "
        "processor runs them itself."
    )
    parts: ClassVar = ("integers", "floats")
    metric: ClassVar = "time"
    unit: ClassVar = "s"

    def value(self, part: Part) -> float:
        return part.seconds
