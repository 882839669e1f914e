"""One host's part in a run: subjects made ready, trials done, everything taken down again.

Who says which trial when (`bench.runner` here, `bench.cluster.fleet` over several hosts) hears of
the rows; a trial that fails as a whole is one of them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from contextlib import ExitStack
from dataclasses import asdict, dataclass, field, replace
from typing import Any, Self

from bench import interrupts, killed, scratch
from bench.experiments.base import Experiment, Settings, Trial, Waiting
from bench.observations import Observation, Unwritable
from bench.plan import Plan, Planned
from bench.subjects.base import InstanceFailed, Subject, Workload
from bench.variants import Variant
from labrt.errors import LabError

USUALLY = Variant(parallel=1)


@dataclass
class Place:
    """A context manager: what it has opened is closed when the block ends.

    Attributes:
        plan: of the run; its host and accelerator are this host's.
        keep: what becomes of each row.
        note: tells the user what isn't a row.
        also: stamped on every row besides.
    """

    plan: Plan
    keep: Callable[[Observation], None]
    note: Callable[[str], None]
    waiting: Waiting = field(default_factory=Waiting)
    also: dict[str, Any] = field(default_factory=dict)
    _opened: ExitStack = field(default_factory=ExitStack)
    _stamps: dict[tuple[str, str], dict[str, Any]] = field(default_factory=dict)
    _workloads: dict[tuple[Any, ...], Workload] = field(default_factory=dict)
    _trial: Trial | None = None
    _over: bool = False

    def open(self, trials: Iterable[Planned]) -> None:
        """Make the subjects of these trials ready; of those that can't be, a failed row is kept.

        Raises:
            Unwritable: it can't be kept.
        """
        killed.hold()
        trials = list(trials)
        for subject in self.plan.subjects:
            mine = {t.experiment.name: t.experiment for t in trials if t.subject is subject}
            if mine:
                self._open(subject, list(mine.values()))

    def ready(self, trial: Planned) -> bool:
        """True if a trial's subject can be measured here."""
        return trial.key[:2] in self._stamps

    def stamps(self) -> dict[tuple[str, str], dict[str, Any]]:
        """Return what rows are stamped with, by experiment and subject that can be measured."""
        return self._stamps

    def do(
        self, planned: Planned, position: int, settings: Settings | None = None, **also: Any
    ) -> Observation | None:
        """Do one trial. Return the failed row of one that failed as a whole: who keeps it knows
        what follows from it.

        Args:
            position: of the trial in the run.
            settings: this host's share of them; None: the plan's.
            also: stamped on its rows.

        Raises:
            Unwritable: a row can't be kept.
        """
        trial = self._trial = self._made(
            planned.subject,
            planned.experiment.name,
            planned.sample,
            self._workload(planned.experiment, planned.variant),
            self._stamps[planned.key[:2]] | {"order": position} | also,
            planned.variant,
            settings,
        )
        if self._over:
            trial.give_up()
        try:
            with trial:
                planned.experiment.measure(trial)
        except Unwritable:
            raise
        except Exception as error:
            return trial.failed_row(*planned.experiment.failed_row(), said(error))
        finally:
            self._trial = None
        return None

    def give_up(self) -> None:
        """Make the trial under way, and any after it, end soon; called from another thread."""
        self._over = True
        if trial := self._trial:
            trial.give_up()

    def _open(self, subject: Subject, experiments: list[Experiment]) -> None:
        """Make a subject ready for what each experiment runs; a failed row where it can't be."""
        self._opened.callback(self._close, subject)
        told: set[str] = set()
        prepared: set[Workload] = set()
        for experiment in experiments:
            key = experiment.name, subject.name
            try:
                self._stamps[key] = self._prepared(subject, experiment, prepared)
            except Exception as error:
                reason = said(error)
                if reason not in told:  # one that can't run at all is told once
                    self.note(f"{subject.name} can't be measured: {reason}")
                    stamps = conditions(self.plan, subject, self.plan.workload) | {"order": -1}
                    trial = self._made(subject, "prepare", 0, self.plan.workload, stamps)
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
            if reason := subject.lacks(workload):
                raise InstanceFailed(reason)
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
                self.note(f"closing {subject.name}: {said(error)}")

    def _made(
        self,
        subject: Subject,
        experiment: str,
        sample: int,
        workload: Workload,
        stamps: dict[str, Any],
        variant: Variant = USUALLY,
        settings: Settings | None = None,
    ) -> Trial:
        varied: dict[str, Any] = asdict(variant) | ({"warmup": True} if sample < 0 else {})
        if self.plan.attempt:
            varied["attempt"] = self.plan.attempt
        return Trial(
            subject=subject,
            workload=workload,
            experiment=experiment,
            sample=sample,
            settings=settings or self.plan.settings,
            run=self.plan.run,
            keep=self.keep,
            conditions=stamps | varied | self.also,
            waiting=self.waiting,
            variant=variant,
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self._opened.close()


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
        **scratch.conditions(workload.scratch, subject.kind),
    }


def said(error: BaseException) -> str:
    """Return what went wrong in one line; for surprises with the kind of error before it."""
    text = " ".join(str(error).split()) or "no reason given"
    if isinstance(error, InstanceFailed | LabError):
        return text
    return f"{type(error).__name__}: {text}"
