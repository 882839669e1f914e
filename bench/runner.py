"""The runner: which trial when, what is kept of it, and what happens when one goes wrong.

A trial that fails is a row. A subject that breaks is a row, and the rest goes on. Only three things
end a run: no trial is left, the results can't be written, or the user interrupts it. Whatever ends
it, everything that was started is taken down.
"""

from __future__ import annotations

import random
import time
from contextlib import ExitStack
from dataclasses import asdict, dataclass, field, replace
from typing import Any, Protocol

from bench import interrupts
from bench.experiments.base import Experiment, Settings, Trial, Waiting
from bench.observations import Log, Unwritable
from bench.subjects.base import InstanceFailed, Subject, Workload
from bench.variants import Variant
from labrt.errors import LabError

# After so many failures in a row the remaining trials of a subject and experiment aren't tried: a
# guest that never boots would otherwise cost one deadline for each of them.
GIVE_UP_AFTER = 3

LEAST_ROUNDS = 3

USUALLY = Variant(parallel=1)


@dataclass(frozen=True)
class Planned:
    """One trial to come. `sample` -1 is the warm-up; `guess` is how long it may take, seconds."""

    experiment: Experiment
    subject: Subject
    sample: int
    variant: Variant = field(default_factory=Variant)
    guess: float = 1.0

    @property
    def key(self) -> tuple[str, str, str]:
        return self.experiment.name, self.subject.name, self.variant.label


@dataclass(frozen=True)
class Plan:
    """Everything that a run needs to know before it begins.

    Attributes:
        run: its name, stamped on every row.
        host: identifies the machine (`bench.host`), stamped on every row.
        accelerator: the host-wide verdict, stamped on every row.
        seed: of the order of trials.
        done: positions of the trials that earlier attempts at this run have finished.
        attempt: how many attempts there were before this one.
        variants: the conditions to vary; each experiment takes those that differ to it.
    """

    run: str
    subjects: list[Subject]
    experiments: list[Experiment]
    workload: Workload
    settings: Settings
    host: str
    accelerator: str
    seed: int
    done: frozenset[int] = frozenset()
    attempt: int = 0
    variants: tuple[Variant, ...] = (Variant(),)


class Progress(Protocol):
    """Whom a run tells how far it is."""

    def begin(self, planned: list[Planned]) -> None: ...
    def doing(self, trial: Planned) -> None: ...
    def done(self, trial: Planned) -> None: ...
    def note(self, text: str) -> None: ...


def schedule(plan: Plan) -> list[Planned]:
    """Return all trials in order; the same plan and seed give the same order.

    First one warm-up of every subject. Then the experiments that repeat, in rounds: a round has one
    trial of every subject, experiment and variant, in random order, so a slow minute of the host
    hits all alike. Then the ramps, each with the subjects and variants in random order.
    """
    subjects = plan.subjects
    shuffled = random.Random(plan.seed)
    repeated = [experiment for experiment in plan.experiments if experiment.repeats]
    ramps = [experiment for experiment in plan.experiments if not experiment.repeats]
    order = _of_each(plan, repeated[0], -1)[: len(subjects)] if repeated else []
    rounds = max((experiment.trials(plan.settings) for experiment in repeated), default=0)
    for number in range(rounds):
        one_round = [
            trial
            for experiment in repeated
            if number < experiment.trials(plan.settings)
            for trial in _of_each(plan, experiment, number)
        ]
        order += shuffled.sample(one_round, len(one_round))
    for experiment in ramps:
        for number in range(experiment.trials(plan.settings)):
            one_round = _of_each(plan, experiment, number)
            order += shuffled.sample(one_round, len(one_round))
    return order


def _of_each(plan: Plan, experiment: Experiment, number: int) -> list[Planned]:
    """Return the trials of an experiment in one round."""
    return [
        Planned(experiment, subject, number, variant, _guess(experiment, subject, variant, plan))
        for variant in experiment.variants(plan.variants, plan.settings)
        for subject in plan.subjects
    ]


def _guess(experiment: Experiment, subject: Subject, variant: Variant, plan: Plan) -> float:
    one = experiment.guess(subject.kind, plan.settings)
    return one * variant.parallel if experiment.repeats else one


def left_to_do(plan: Plan) -> list[tuple[int, Planned]]:
    """Return the trials that no earlier attempt has finished, each with its position in the whole.

    A warm-up is done again wherever anything else of its subject is.
    """
    whole = list(enumerate(schedule(plan)))
    left = [(at, trial) for at, trial in whole if trial.sample >= 0 and at not in plan.done]
    cold = {trial.subject.name for _, trial in left if trial.experiment.repeats}
    return [each for each in whole if each[1].sample < 0 and each[1].subject.name in cold] + left


@dataclass
class Runner:
    """One run."""

    plan: Plan
    log: Log
    progress: Progress
    waiting: Waiting = field(default_factory=Waiting)
    _stamps: dict[tuple[str, str], dict[str, Any]] = field(default_factory=dict)
    _workloads: dict[tuple[Any, ...], Workload] = field(default_factory=dict)
    _in_a_row: dict[tuple[str, str, str], int] = field(default_factory=dict)
    _began: float = 0.0
    _round: int = 0
    _rounds_over: bool = False

    def run(self) -> None:
        """Do all trials. Everything that was started or opened is gone when this returns.

        Raises:
            Unwritable: the results can't be kept.
            bench.interrupts.Interrupted: Ctrl-C; the rows so far are kept.
        """
        with ExitStack() as opened:
            left = left_to_do(self.plan)
            for subject in self.plan.subjects:
                mine = {t.experiment.name: t.experiment for _, t in left if t.subject is subject}
                if mine:
                    self._open(subject, opened, list(mine.values()))
            left = [(at, trial) for at, trial in left if trial.key[:2] in self._stamps]
            planned = [trial for _, trial in left]
            self.progress.begin(planned)
            self._began = time.monotonic()
            for index, (position, trial) in enumerate(left):
                given_up = self._in_a_row.get(trial.key, 0) >= GIVE_UP_AFTER
                if not given_up and not self._out_of_time(trial):
                    self.progress.doing(trial)
                    self._do(trial, position, planned[index + 1 :])
                self.progress.done(trial)

    def _out_of_time(self, trial: Planned) -> bool:
        """True if this trial's round isn't begun any more. All subjects or none."""
        limit = self.plan.settings.round_seconds
        if limit is None or not trial.experiment.repeats:
            return False
        if trial.sample > self._round and not self._rounds_over:
            self._round = trial.sample
            late = time.monotonic() - self._began > limit
            self._rounds_over = late and trial.sample >= LEAST_ROUNDS
            if self._rounds_over:
                self.progress.note(
                    f"this host is slow: {trial.sample} rounds took {limit:.0f} s, the others are "
                    "left out; --n or --full takes the time"
                )
        return self._rounds_over

    def _open(self, subject: Subject, opened: ExitStack, experiments: list[Experiment]) -> None:
        """Make a subject ready for what each experiment runs; a failed row where it can't be."""
        opened.callback(self._close, subject)
        told: set[str] = set()
        prepared: set[Workload] = set()
        for experiment in experiments:
            key = experiment.name, subject.name
            try:
                self._stamps[key] = self._prepared(subject, experiment, prepared)
            except Exception as error:
                reason = said(error)
                if reason not in told:  # one that can't run at all is told once
                    self.progress.note(f"{subject.name} can't be measured: {reason}")
                    stamps = conditions(self.plan, subject, self.plan.workload) | {"order": -1}
                    trial = self._trial(subject, "prepare", 0, self.plan.workload, stamps)
                    trial.fail("prepare", "time", "s", reason)
                told.add(reason)

    def _prepared(
        self, subject: Subject, experiment: Experiment, prepared: set[Workload]
    ) -> dict[str, Any]:
        """Return what the rows of a subject and experiment are stamped with.

        Args:
            prepared: what the subject is ready for by now; added to.
        """
        if reason := subject.unavailable() or experiment.unavailable():
            raise InstanceFailed(reason)
        for variant in experiment.variants(self.plan.variants, self.plan.settings):
            workload = self._workload(experiment, variant)
            if workload not in prepared:
                subject.prepare(workload)
                prepared.add(workload)
        return conditions(self.plan, subject, workload) | subject.conditions()

    def _workload(self, experiment: Experiment, variant: Variant) -> Workload:
        """Return what an experiment's instances run; it may have to be built, once."""
        sizes = {"cpus": variant.cpus, "memory": variant.memory, "io": variant.io}
        key = (experiment.name, *sizes.values())
        if key not in self._workloads:
            asked = replace(self.plan.workload, **sizes)  # type: ignore[arg-type]
            self._workloads[key] = experiment.workload(asked)
        return self._workloads[key]

    def _close(self, subject: Subject) -> None:
        with interrupts.held():
            try:
                subject.close()
            except Exception as error:
                self.progress.note(f"closing {subject.name}: {said(error)}")

    def _do(self, planned: Planned, position: int, to_come: list[Planned]) -> None:
        """Do one trial; whatever goes wrong in it becomes a failed row."""
        trial = self._trial(
            planned.subject,
            planned.experiment.name,
            planned.sample,
            self._workload(planned.experiment, planned.variant),
            self._stamps[planned.key[:2]] | {"order": position},
            planned.variant,
        )
        try:
            with trial:
                planned.experiment.measure(trial)
            self._in_a_row[planned.key] = 0
        except Unwritable:
            raise
        except Exception as error:
            reason = said(error)
            self._in_a_row[planned.key] = self._in_a_row.get(planned.key, 0) + 1
            if self._in_a_row[planned.key] >= GIVE_UP_AFTER:
                left = sum(other.key == planned.key for other in to_come)
                reason += f" ({GIVE_UP_AFTER} failures in a row: {left} more trials not tried)"
            trial.fail(*planned.experiment.failed_row(), reason)
            self.progress.note(f"{planned.subject.name}, {planned.experiment.name}: {reason}")

    def _trial(
        self,
        subject: Subject,
        experiment: str,
        sample: int,
        workload: Workload,
        stamps: dict[str, Any],
        variant: Variant = USUALLY,
    ) -> Trial:
        also: dict[str, Any] = asdict(variant) | ({"warmup": True} if sample < 0 else {})
        if self.plan.attempt:
            also["attempt"] = self.plan.attempt
        return Trial(
            subject=subject,
            workload=workload,
            experiment=experiment,
            sample=sample,
            settings=self.plan.settings,
            run=self.plan.run,
            keep=self.log.append,
            conditions=stamps | also,
            waiting=self.waiting,
            variant=variant,
        )


def conditions(plan: Plan, subject: Subject, workload: Workload) -> dict[str, Any]:
    """Return what every row of a subject is stamped with, besides what it says of itself."""
    return {
        "kind": subject.kind,
        "title": subject.title,
        "image": workload.image,
        "digest": workload.digest,
        "workload": workload.name,
        "accelerator": plan.accelerator,
        "host": plan.host,
        "machine": "host",
        "seed": plan.seed,
    }


def said(error: BaseException) -> str:
    """Return what went wrong in one line; for surprises with the kind of error before it."""
    text = " ".join(str(error).split()) or "no reason given"
    if isinstance(error, InstanceFailed | LabError):
        return text
    return f"{type(error).__name__}: {text}"
