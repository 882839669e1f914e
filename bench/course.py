"""The course of a run on one host: which trials aren't tried any more."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace

from bench.observations import Observation
from bench.plan import Planned

# After so many failures in a row the remaining trials of a subject and experiment aren't tried: a
# guest that never boots would otherwise cost one deadline for each of them.
GIVE_UP_AFTER = 3

LEAST_ROUNDS = 3


@dataclass
class Course:
    """What has happened so far, as far as it decides about what is to come.

    Attributes:
        limit: seconds after which no round begins (`Settings.round_seconds`).
        note: tells the user.
    """

    limit: float | None
    note: Callable[[str], None]
    _began: float = field(default_factory=time.monotonic)
    _round: int = 0
    _first_left_out: int | None = None
    _in_a_row: dict[tuple[str, str, str], int] = field(default_factory=dict)

    def left_out(self, trial: Planned) -> bool:
        """True if a trial isn't tried: too many of its like have failed, or time is up."""
        return self._in_a_row.get(trial.key, 0) >= GIVE_UP_AFTER or self._out_of_time(trial)

    def _out_of_time(self, trial: Planned) -> bool:
        """True if this trial's round isn't begun any more. All subjects or none."""
        if self.limit is None or not trial.experiment.repeats:
            return False
        if trial.sample > self._round and self._first_left_out is None:
            self._round = trial.sample
            late = time.monotonic() - self._began > self.limit
            if late and trial.sample >= LEAST_ROUNDS:
                self._first_left_out = trial.sample
                self.note(
                    f"this host is slow: {trial.sample} rounds took {self.limit:.0f} s, the others "
                    "are left out; --n or --full takes the time"
                )
        return self._first_left_out is not None and trial.sample >= self._first_left_out

    def over(
        self, trial: Planned, failed: Observation | None, to_come: Sequence[Planned]
    ) -> Observation | None:
        """Learn how a trial ended; return its failed row, which says what follows from it.

        Args:
            failed: the row of a trial that failed as a whole.
            to_come: the trials that would follow.
        """
        if failed is None:
            self._in_a_row[trial.key] = 0
            return None
        self._in_a_row[trial.key] = self._in_a_row.get(trial.key, 0) + 1
        if self._in_a_row[trial.key] >= GIVE_UP_AFTER:
            left = sum(other.key == trial.key for other in to_come)
            told = f" ({GIVE_UP_AFTER} failures in a row: {left} more trials not tried)"
            failed = replace(failed, reason=failed.reason + told)
        self.note(f"{trial.subject.name}, {trial.experiment.name}: {failed.reason}")
        return failed
