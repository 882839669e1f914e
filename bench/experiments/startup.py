"""Startup: how long from the call until the instance is ready, and where the time goes."""

from __future__ import annotations

from typing import ClassVar

from bench.experiments.base import Experiment, Settings, Trial, seconds
from bench.subjects.base import Stamps

# (phase, stamp it begins with, stamp it ends with)
PHASES = (
    ("T0-T1", "t0", "t1"),
    ("T1-T2", "t1", "t2"),
    ("T2-T3", "t2", "t3"),
    ("T0-T3", "t0", "t3"),
)


class Startup(Experiment):
    name: ClassVar = "startup"
    title: ClassVar = "Start-up time"
    question: ClassVar = "How long does it take from the call until the instance is ready?"
    method: ClassVar = (
        "Four stamps of the host's monotonic clock: T0 the call, T1 the first instruction of the "
        "new instance (clone has returned; the VM's processor runs), T2 the first line that its "
        "init prints, T3 the ready line that the image's entry point prints. The lines are stamped "
        "as they arrive, by event, not by polling. One instance at a time, or as many at once as "
        "is said, on an otherwise idle host, all subjects interleaved in random order."
    )
    limits: ClassVar = (
        "T2 and T3 include the way of one line to the host: a pipe for processes and containers, "
        "an emulated serial port for VMs. A service that listens on a network would be ready later."
    )
    repeats: ClassVar = True
    parallels: ClassVar = True

    def trials(self, settings: Settings) -> int:
        return settings.n or (7 if settings.quick else 30)

    def measure(self, trial: Trial) -> None:
        for sample, instance in trial.start_ready_variant(self.failed_row()):
            _record(trial, sample, instance.stamps)

    def failed_row(self) -> tuple[str, str, str]:
        return "T0-T3", "time", "s"


def _record(trial: Trial, sample: int, stamps: Stamps) -> None:
    for phase, begin, end in PHASES:
        if stamps.t1 is None and "t1" in (begin, end):
            continue  # not every host tells when a process was born (bench.births)
        took = seconds(getattr(stamps, begin), getattr(stamps, end))
        trial.record(phase, "time", "s", took, sample)
