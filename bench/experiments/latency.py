"""Latency of the kernel: system call, context switch, page fault, fork."""

from __future__ import annotations

from typing import ClassVar

from bench.experiments._work import METHOD, WorkExperiment


class Latency(WorkExperiment):
    name: ClassVar = "latency"
    title: ClassVar = "The kernel's latency"
    question: ClassVar = "How long does the kernel take for what programs ask of it most?"
    method: ClassVar = METHOD + (
        " syscall: getppid(2), 200,000 times. switch: a byte to another process and back through "
        "pipes, both on one CPU, 20,000 switches. fault: the first touch of a page, 16,384 times, "
        "without huge pages. fork: a child that ends at once, 200 times. Shown is the time of one."
    )
    limits: ClassVar = (
        "A container asks the host's kernel, through its seccomp filter; a VM asks its own, which "
        "is another build with other mitigations switched on. So the distance isn't the "
        "hypervisor's alone."
    )
    parts: ClassVar = ("syscall", "switch", "fault", "fork")
    metric: ClassVar = "each"
    unit: ClassVar = "s"
