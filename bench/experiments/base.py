"""What an experiment is: a question, how it is measured, and rows.

An experiment speaks to subjects only through `bench.subjects.base`, so it can't treat a VM and a
container differently. It is run in trials: one trial of each subject and experiment makes a round,
and the order within a round is random, so a slow minute of the host hits all alike.
"""

from __future__ import annotations

import os
import secrets
import threading
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field, replace
from typing import Any, ClassVar, Self, TypeVar

from bench import caches, interrupts, scratch, work
from bench.observations import Observation
from bench.subjects.base import Instance, InstanceFailed, Kind, Subject, Workload
from bench.together import together
from bench.variants import Variant
from bench.work import DONE, Work

GIB = 1024**3
MIB = 1024**2

LONGEST = 180.0  # seconds that instances which share a CPU may take, however many they are


T = TypeVar("T")


@dataclass(frozen=True)
class Settings:
    """What a run may take. Times in seconds, sizes in bytes.

    Attributes:
        n: trials per subject of the experiments that repeat; None = each experiment's own.
        start_deadline, stop_deadline: after which an instance counts as failed.
        round_seconds: no round begins later than this after the first, but at least three are
            done. None: all rounds, however long they take.
        count: density adds at most so many instances.
        scale: scale-out starts so many at once.
        ramp_seconds: density adds none later than this after the first.
        memory_budget: density stops when the host's MemAvailable has fallen by so much.
        work_deadline: after which an instance that works counts as failed.
        reserve: no experiment starts an instance that could leave the host less than this.
        disk_reserve: nor one that could leave the disk of LAB_HOME less than this.
        rungs, rung_seconds: the memory ramp has at most so many rungs and, from the third on,
            begins none after so long.
        settle: how long the host idles on each rung while its memory is read.
        rest: how long the host idles before a ramp: the kernel takes a moment to account for what
            the one before has freed.
        quick: the run is meant to be over in 90 s, otherwise in 25 minutes.
    """

    n: int | None = None
    start_deadline: float = 30.0
    stop_deadline: float = 15.0
    work_deadline: float = 60.0
    round_seconds: float | None = 40.0
    count: int = 64
    scale: int = 8
    ramp_seconds: float = 15.0
    memory_budget: int = 1 * GIB
    reserve: int = 2 * GIB
    disk_reserve: int = 256 * MIB
    rungs: int = 8
    rung_seconds: float = 8.0
    settle: float = 0.2
    rest: float = 0.7
    quick: bool = True


QUICK = Settings()
FULL = Settings(
    round_seconds=780.0,
    ramp_seconds=180.0,
    count=256,
    scale=16,
    memory_budget=8 * GIB,
    rungs=24,
    rung_seconds=60.0,
    settle=1.0,
    rest=3.0,
    quick=False,
)


@dataclass
class Waiting:
    """What the bench itself took while it waited for instances, seconds."""

    cpu: float = 0.0
    elapsed: float = 0.0

    @contextmanager
    def counted(self) -> Iterator[None]:
        """Count the block as waiting."""
        with self._counted(time.process_time):
            yield

    @contextmanager
    def called(self) -> Iterator[None]:
        """Count the block, which calls a subject, as waiting for it: what the call computes in this
        thread (labrt's library, libvirt's) is the subject's, what other threads do is the bench's.
        """
        with self._counted(lambda: time.process_time() - time.thread_time()):
            yield

    @contextmanager
    def _counted(self, clock: Callable[[], float]) -> Iterator[None]:
        cpu, begun = clock(), time.perf_counter()
        try:
            yield
        finally:
            self.cpu += clock() - cpu
            self.elapsed += time.perf_counter() - begun


@dataclass
class Trial:
    """One go of one experiment with one subject: the place where rows are made.

    A context manager: whatever an experiment has started through it is destroyed at its end, the
    youngest first, however it ends.

    Attributes:
        keep: what becomes of each row (the runner's log).
        conditions: stamped on every row; see `Observation.conditions`.
        waiting: where the bench's own share is counted.
        variant: the conditions that the run varies.
    """

    subject: Subject
    workload: Workload
    experiment: str
    sample: int
    settings: Settings
    run: str
    keep: Callable[[Observation], None]
    conditions: dict[str, Any] = field(default_factory=dict)
    instances: list[Instance] = field(default_factory=list)
    waiting: Waiting = field(default_factory=Waiting)
    variant: Variant = field(default_factory=Variant)
    _over: bool = False
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def record(
        self,
        phase: str,
        metric: str,
        unit: str,
        value: float,
        sample: int | None = None,
        **also: Any,
    ) -> None:
        """Keep one measured value. `also` is added to this row's conditions."""
        self.keep(self._row(phase, metric, unit, value, "", sample, also))

    def fail(
        self,
        phase: str,
        metric: str,
        unit: str,
        reason: str,
        sample: int | None = None,
        **also: Any,
    ) -> None:
        """Keep one failure to measure, with its reason."""
        self.keep(self._row(phase, metric, unit, None, reason, sample, also))

    def failed_row(self, phase: str, metric: str, unit: str, reason: str) -> Observation:
        """Return the row of a failure to measure, without keeping it."""
        return self._row(phase, metric, unit, None, reason, None, {})

    def _row(
        self,
        phase: str,
        metric: str,
        unit: str,
        value: float | None,
        reason: str,
        sample: int | None,
        also: dict[str, Any],
    ) -> Observation:
        return Observation(
            run=self.run,
            subject=self.subject.name,
            experiment=self.experiment,
            sample=self.sample if sample is None else sample,
            phase=phase,
            metric=metric,
            unit=unit,
            value=value,
            status="ok" if value is not None else "failed",
            reason=reason,
            conditions={**self.conditions, **also},
        )

    def start(self, workload: Workload | None = None, subject: Subject | None = None) -> Instance:
        """Start one instance; it lives until the trial ends, or its own `stop` or `destroy`.

        Args:
            workload, subject: None for the trial's.

        Raises:
            InstanceFailed: it could not be started; nothing is left behind.
        """
        self._cool()
        if self._over:
            raise InstanceFailed("interrupted")
        with interrupts.held(), self.waiting.called():
            return self._begin(workload, subject)

    def start_with(self, command: Sequence[str], subject: Subject | None = None) -> Instance:
        """Start an instance with a command of its own, and wait for its ready mark.

        Args:
            subject: None for the trial's.

        Raises:
            InstanceFailed: as `start_ready`. LabError: it can't be made ready for that.
        """
        workload, chosen = replace(self.workload, command=tuple(command)), subject or self.subject
        chosen.prepare(workload)
        return self.start_ready(workload, chosen)

    def _begin(self, workload: Workload | None = None, subject: Subject | None = None) -> Instance:
        """Start one, in whatever thread."""
        subject, workload = subject or self.subject, workload or self.workload
        self._keep_disk(workload)
        name = f"lab-{subject.name}-{secrets.token_hex(3)}"  # another bench may run beside
        instance = subject.start(workload, name)
        with self._lock:
            self.instances.append(instance)
        return instance

    def _keep_disk(self, workload: Workload) -> None:
        """Refuse an instance that the disk of LAB_HOME hasn't room for.

        Raises:
            InstanceFailed: it hasn't.
        """
        free = scratch.free() - (workload.scratch or 0)
        if free < self.settings.disk_reserve:
            raise InstanceFailed(
                f"one more could leave the disk of LAB_HOME {max(0, free) // MIB} MiB, less than "
                f"its reserve of {self.settings.disk_reserve // MIB} MiB; free some room"
            )

    def _cool(self) -> None:
        if self.variant.caches == "cold":
            caches.drop()

    def start_ready(
        self, workload: Workload | None = None, subject: Subject | None = None
    ) -> Instance:
        """Start one instance, as `start`, and wait for its ready mark.

        Raises:
            InstanceFailed: it died first, or the start deadline passed.
        """
        instance = self.start(workload, subject)
        with self.waiting.counted():
            instance.wait_ready(self.settings.start_deadline)
        return instance

    def start_together(self, count: int, at_once: int) -> list[Instance | Exception]:
        """Start `count`, at most `at_once` at any moment, each until its ready mark; return each,
        or why it didn't become ready."""
        self._cool()
        deadline = shared(self.settings.start_deadline, at_once)
        return together([lambda: self._begin_ready(deadline)] * count, at_once, self.give_up)

    def _begin_ready(self, deadline: float) -> Instance:
        if self._over:
            raise InstanceFailed("interrupted")
        instance = self._begin()
        if self._over:
            raise InstanceFailed("interrupted")
        instance.wait_ready(deadline)
        return instance

    def give_up(self) -> None:
        """Let whoever waits for a mark wait no longer, and start nothing more."""
        self._over = True
        with self._lock:
            for instance in self.instances:
                with suppress(InstanceFailed):
                    instance.marks.close()

    def start_ready_variant(self, failed_row: tuple[str, str, str]) -> list[tuple[int, Instance]]:
        """Start as many at once as the variant says; return those that became ready, each with its
        sample. The others are failed rows.

        Raises:
            InstanceFailed: none did.
        """
        count = self.variant.parallel or 1
        if count == 1:
            return [(self.sample, self.start_ready())]
        first = self.sample * count
        ready, failed = apart(self.start_together(count, count))
        for number, error in failed[not ready :]:  # of none the runner makes the first row
            self.fail(*failed_row, str(error), first + number)
        if not ready:
            raise InstanceFailed(str(failed[0][1]))
        return [(first + number, instance) for number, instance in ready]

    def work(self, instance: Instance) -> Work:
        """Wait until an instance has done its work, and return what it has told.

        Raises:
            InstanceFailed: it ended first, the deadline passed, or it made no sense.
        """
        try:
            with self.waiting.counted():
                instance.marks.wait(DONE, self.settings.work_deadline)
        except InstanceFailed as error:
            raise InstanceFailed(f"{error}{instance.marks.evidence()}") from error
        return work.read(instance.marks.seen())

    def stop(self, instance: Instance) -> None:
        """Ask an instance to end and wait until it is gone.

        Raises:
            InstanceFailed: it was still there after the stop deadline.
        """
        instance.stop(self.settings.stop_deadline)

    def stop_together(self, instances: Sequence[Instance]) -> list[tuple[int, int] | Exception]:
        """Ask all of them to end, at once; return for each when it was asked and when it was gone
        (CLOCK_MONOTONIC ns), or why it still was there."""
        deadline = shared(self.settings.stop_deadline, len(instances))

        def stop(instance: Instance) -> tuple[int, int]:
            asked = time.monotonic_ns()
            instance.stop(deadline)
            return asked, time.monotonic_ns()

        calls = [lambda instance=each: stop(instance) for each in instances]
        return together(calls, max(1, len(calls)))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        with interrupts.held(), ExitStack() as all_of_them:
            for instance in self.instances:
                all_of_them.callback(instance.destroy)  # one that fails doesn't keep the others


class Experiment(ABC):
    """One question.

    Class attributes:
        name: what users type and tables print.
        title: for pictures and the report.
        question: what it answers, one sentence.
        method: how it is measured, for the report.
        limits: what its numbers can't tell, for the report.
        repeats: True: run in rounds of randomised, interleaved trials; False: one trial per
            subject (a ramp repeats by itself).
        scratch: bytes that each of its instances gets to write in (`bench.scratch`), or None.
        parallels: its instances may start, or stop, in parallel: `--parallel` varies it.
        fleet: over several hosts it fills all of them at once, instead of being done by each.
    """

    name: ClassVar[str]
    title: ClassVar[str]
    question: ClassVar[str]
    method: ClassVar[str]
    limits: ClassVar[str]
    repeats: ClassVar[bool]
    scratch: ClassVar[int | None] = None
    parallels: ClassVar[bool] = False
    fleet: ClassVar[bool] = False

    def unavailable(self) -> str | None:
        """Return why it can't be asked here, with the remedy, or None if it can."""
        return None

    def workload(self, asked: Workload) -> Workload:
        """Return what its instances run, given what the user asks for. May build an image.

        Raises:
            LabError: it can't be built.
        """
        return asked

    def trials(self, settings: Settings) -> int:
        """How many trials each subject gets: at least 1."""
        return 1

    def starts(self, subject: Subject) -> int:
        """How many instances a trial that repeats starts: a first guess of its time rests on it."""
        return 1

    def parallel(self, settings: Settings) -> int:
        """How many start at once where nobody asks for it."""
        return 1

    def shares(self, settings: Settings, cores: Sequence[float]) -> Sequence[Settings | None]:
        """Return what each host does of one trial that fills several: None if nothing. Here: as a
        host alone would.

        Args:
            cores: of each host.
        """
        return [settings] * len(cores)

    def guess(self, kind: Kind, settings: Settings) -> float:
        """Return how long one trial may take where no run has told yet: seconds."""
        return each(kind)

    def variants(self, asked: Sequence[Variant], settings: Settings) -> list[Variant]:
        """Return those of the variants that differ to this experiment."""
        usual = self.parallel(settings)
        chosen = ((each.parallel if self.parallels else 0) or usual for each in asked)
        pairs = zip(asked, chosen, strict=True)
        return list(dict.fromkeys(replace(each, parallel=count) for each, count in pairs))

    @abstractmethod
    def measure(self, trial: Trial) -> None:
        """Do one trial and record its rows. The trial destroys what was started.

        Raises:
            InstanceFailed: nothing of the trial could be measured; the runner keeps the reason as
                a failed row of `failed_row`.
        """

    @abstractmethod
    def failed_row(self) -> tuple[str, str, str]:
        """(phase, metric, unit) of the row that a trial leaves that failed as a whole."""


def each(kind: Kind) -> float:
    """Return what a start and an end take, roughly, with two CPUs and TCG: seconds."""
    return 2.5 if kind == "vm" else 0.01


def shared(deadline: float, count: int) -> float:
    """Return how long one instance may take while `count` share this host's CPUs, seconds."""
    cpus = len(os.sched_getaffinity(0))
    return max(deadline, min(deadline * count / cpus, LONGEST))


def apart(
    outcomes: Sequence[T | Exception],
) -> tuple[list[tuple[int, T]], list[tuple[int, Exception]]]:
    """Return what went well, and what went wrong, each with its number."""
    numbered = list(enumerate(outcomes))
    bad = [(number, each) for number, each in numbered if isinstance(each, Exception)]
    return [(n, each) for n, each in numbered if not isinstance(each, Exception)], bad


def seconds(start: int | None, end: int | None) -> float:
    """Return the time between two stamps.

    Raises:
        InstanceFailed: one of them was never taken.
    """
    if start is None or end is None:
        raise InstanceFailed("a time stamp is missing")
    return (end - start) / 1e9


def idle(duration: float) -> None:
    """Let instances idle for a declared time before they are weighed. It waits for nothing."""
    time.sleep(duration)
