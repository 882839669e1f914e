"""Ladder: what each thing that a subject does, or is given, adds to its start.

Every subject names what can be changed about it, one at a time (`Subject.variants`): a container
without its seccomp filter, a VM with another firmware. The unchanged one and each of these is
started in every round.
"""

from __future__ import annotations

import random
from dataclasses import replace
from typing import ClassVar

from bench.experiments.base import Experiment, Settings, Trial, seconds
from bench.subjects.base import InstanceFailed, Subject
from labrt.errors import LabError

WHOLE = "unchanged"
GIVE_UP_AFTER = 3  # rungs in a row that fail: the next would, too


class Ladder(Experiment):
    name: ClassVar = "ladder"
    title: ClassVar = "Ladder"
    question: ClassVar = "How much does each thing that a start does add to it?"
    method: ClassVar = (
        "In every round each subject is started as it is and with one thing changed, one after the "
        "other in random order. A difference is the median, over the rounds, of that to the "
        "unchanged start of the same round, from the call until ready, with its 95 % bootstrap "
        "interval. Where the interval holds zero, nothing can be said of its sign."
    )
    limits: ClassVar = (
        "The differences don't add up: what two changes save together isn't the sum of both, and "
        "some take work away that another would then have to do. Of twenty changes that change "
        "nothing, one is expected to have an interval without zero."
    )
    repeats: ClassVar = True

    def trials(self, settings: Settings) -> int:
        return settings.n or (7 if settings.quick else 30)

    def starts(self, subject: Subject) -> int:
        return 1 + len(subject.variants())

    def measure(self, trial: Trial) -> None:
        rungs = [(WHOLE, trial.subject), *trial.subject.variants().items()]
        random.Random(f"{trial.conditions.get('seed')} {trial.sample}").shuffle(rungs)
        failures = 0
        for name, subject in rungs:
            try:
                self._start(trial, name, subject)
                failures = 0
            except (InstanceFailed, LabError) as error:
                failures += 1
                if failures == min(GIVE_UP_AFTER, len(rungs)):
                    raise
                trial.fail(name, "time", "s", " ".join(str(error).split()))

    def _start(self, trial: Trial, name: str, subject: Subject) -> None:
        """Start one, and end it before the next."""
        with replace(trial, subject=subject, instances=[]) as rung:
            subject.prepare(trial.workload)
            instance = rung.start_ready()
            took = seconds(instance.stamps.t0, instance.stamps.t3)
            rung.record(name, "time", "s", took, **subject.conditions())
            for step, own in instance.steps().items() if name == WHOLE else ():
                rung.record(step, "own time", "s", own)

    def failed_row(self) -> tuple[str, str, str]:
        return WHOLE, "time", "s"
