"""A run's plan: every trial to come, in an order that the same seed gives again."""

from __future__ import annotations

import random
from dataclasses import dataclass, field

from bench.experiments.base import Experiment, Settings
from bench.subjects.base import Subject, Workload
from bench.variants import Variant


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
