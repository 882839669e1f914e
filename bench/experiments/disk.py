"""Disk: how fast an instance reads and writes files, past the page cache."""

from __future__ import annotations

from dataclasses import replace
from typing import ClassVar

from bench import fio, scratch
from bench.experiments._work import Quantity, WorkExperiment
from bench.experiments.base import MIB, Settings
from bench.subjects.base import Kind, Workload

SEQUENTIAL = ("read", "write")  # told as a rate; of the others what a request takes


class Disk(WorkExperiment):
    name: ClassVar = "disk"
    title: ClassVar = "Disk"
    question: ClassVar = "How fast does an instance read and write a file?"
    method: ClassVar = (
        "fio, the same program in every kind of instance, does fixed amounts of work on one file "
        "of 64 MiB, which it has laid out and synced before: read and write, 256 MiB in requests "
        "of 1 MiB; randread and randwrite, 1,024 requests of 4 KiB at random places; fsync, 256 "
        "writes of 4 KiB, each with fsync(2) after it. One request at a time, direct I/O but for "
        "fsync. A line is written before and after each, and the host stamps both as they arrive: "
        "no clock of a guest is in these numbers. All write to the disk of LAB_HOME: a process "
        "and a container to a folder of the host's file system, a VM to a raw file in it, with "
        "ext4 on it, allocated beforehand, cache=none. One instance at a time, all subjects "
        "interleaved in random order."
    )
    limits: ClassVar = (
        "A VM's file lies in a file system of its own, which lies in a file of the host's: the "
        "distance is that of the whole path, not of the virtual disk alone. A fresh ext4 of 128 "
        "MiB is emptier than the host's, and nobody else writes to it: an fsync on the host's also "
        "waits for what others have put into its journal. What is below the host (a disk's own "
        "cache, a hypervisor's) is in all numbers alike. Requests one after the other tell of "
        "latency; many at once would tell of throughput. fio's own way from a mark to its work and "
        "back is in each part: 0.2 ms in a process, 8 ms in an emulated VM, measured with a single "
        "request on a busy host."
    )
    parts: ClassVar = fio.jobs()
    metric: ClassVar = "each"
    unit: ClassVar = "s"
    scratch: ClassVar = 128 * MIB

    def unavailable(self) -> str | None:
        return fio.unavailable() or scratch.refusal()

    def workload(self, asked: Workload) -> Workload:
        image = fio.image()
        return replace(
            asked, image=image.name, digest=image.digest, name=self.name, scratch=self.scratch
        )

    def guess(self, kind: Kind, settings: Settings) -> float:
        return 12.0 if kind == "vm" else 2.0

    def quantity(self, name: str) -> Quantity:
        if name in SEQUENTIAL:
            return Quantity("rate", "B/s", lambda part: part.rate)
        return super().quantity(name)
