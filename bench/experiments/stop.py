"""Stop: how long from the polite request to end until nothing of the instance is left."""

from __future__ import annotations

import time
from typing import ClassVar

from bench.experiments.base import Experiment, Settings, Trial, seconds


class Stop(Experiment):
    name: ClassVar = "stop"
    title: ClassVar = "Stop time"
    question: ClassVar = "How long does it take from the request to stop until it is gone?"
    method: ClassVar = (
        "The instance is asked politely, each in its own way: SIGTERM to a process and to a "
        "container's first process, the ACPI power button to a VM, whose init passes SIGTERM on to "
        "the same entry point. The time ends when its processes have ended and the host has "
        "released what it held for it. The wait is by event, not by polling."
    )
    limits: ClassVar = (
        "The entry point holds no data to write back; a database would take longer everywhere. "
        "Pulling the plug (kill -9, destroy) isn't measured here."
    )
    repeats: ClassVar = True
    parallels: ClassVar = True

    def trials(self, settings: Settings) -> int:
        return settings.n or (6 if settings.quick else 30)

    def measure(self, trial: Trial) -> None:
        ready = trial.start_ready_variant(self.failed_row())
        if len(ready) == 1:
            asked = time.monotonic_ns()
            trial.stop(ready[0][1])
            trial.record("stop", "time", "s", (time.monotonic_ns() - asked) / 1e9, ready[0][0])
            return
        outcomes = trial.stop_together([instance for _, instance in ready])
        for (sample, _), outcome in zip(ready, outcomes, strict=True):
            if isinstance(outcome, Exception):
                trial.fail(*self.failed_row(), str(outcome), sample)
            else:
                trial.record("stop", "time", "s", seconds(*outcome), sample)

    def failed_row(self) -> tuple[str, str, str]:
        return "stop", "time", "s"
