"""The runner: which trial when, what is kept of it, and what happens when one goes wrong.

A trial that fails is a row. A subject that breaks is a row, and the rest goes on. Only three things
end a run: no trial is left, the results can't be written, or the user interrupts it. Whatever ends
it, everything that was started is taken down.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Protocol

from bench.course import Course
from bench.experiments.base import Waiting
from bench.observations import Log
from bench.place import Place
from bench.plan import Plan, Planned, left_to_do


class Progress(Protocol):
    """Whom a run tells how far it is."""

    def begin(self, planned: list[Planned], limit: float | None = None) -> None: ...
    def doing(self, trial: Planned) -> None: ...
    def done(self, trial: Planned) -> None: ...
    def note(self, text: str) -> None: ...


@dataclass
class Runner:
    """One run on this host."""

    plan: Plan
    log: Log
    progress: Progress
    waiting: Waiting = field(default_factory=Waiting)

    def run(self) -> None:
        """Do all trials. Everything that was started or opened is gone when this returns.

        Raises:
            Unwritable: the results can't be kept.
            bench.interrupts.Interrupted: Ctrl-C; the rows so far are kept.
        """
        with Place(self.plan, self.log.append, self.progress.note, self.waiting) as place:
            left = left_to_do(self.plan)
            place.open(trial for _, trial in left)
            left = [(at, trial) for at, trial in left if place.ready(trial)]
            planned = [trial for _, trial in left]
            limit = self.plan.settings.round_seconds
            self.progress.begin(planned, limit)
            course = Course(limit, self.progress.note)
            for index, (position, trial) in enumerate(left):
                if not course.left_out(trial):
                    self.progress.doing(trial)
                    failed = place.do(trial, position)
                    if row := course.over(trial, failed, planned[index + 1 :]):
                        self.log.append(row)
                self.progress.done(trial)
