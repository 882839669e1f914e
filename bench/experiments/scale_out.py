"""Scale-out: how long until many instances run that were asked for at once; and until all are gone.

Starts that wait for each other (a lock of the kernel or of libvirt, one daemon, a busy disk) show
here and nowhere else: density and start-up begin one after the other.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import replace
from itertools import accumulate, pairwise
from typing import ClassVar

from bench import meminfo
from bench.experiments.base import Experiment, Settings, Trial, apart, each, idle
from bench.subjects.base import Instance, InstanceFailed, Kind


class ScaleOut(Experiment):
    name: ClassVar = "scale-out"
    title: ClassVar = "Scale-out and scale-in"
    question: ClassVar = "How long until n instances run that are started at once, and are gone?"
    method: ClassVar = (
        "All starts are called at once, each from a thread of its own (or so many at a time as is "
        "said: then the next is called when one is ready). The ready mark of each is stamped as it "
        "arrives; the n-th is n instances' scale-out. Then all are asked to stop at once, as in "
        "the experiment stop, until the last is gone. No more are started than could all take "
        "their whole memory without touching the host's reserve. What doesn't become ready, or "
        "doesn't go, by its deadline is a failure; the deadline grows with the number of instances "
        "for each CPU."
    )
    limits: ClassVar = (
        "Instances that start at once share the host's CPUs with each other and with the bench, "
        "whose threads take turns: so this is the host's rate, not that of one start. The bench "
        "calls libvirt for one VM at a time, for QEMU is born in the cgroup of who calls."
    )
    repeats: ClassVar = False
    parallels: ClassVar = True
    fleet: ClassVar = True

    def trials(self, settings: Settings) -> int:
        return 1 if settings.quick else 6  # the fewest that give an interval

    def parallel(self, settings: Settings) -> int:
        return settings.scale

    def shares(self, settings: Settings, cores: Sequence[float]) -> Sequence[Settings | None]:
        """Each host starts its part of them, by its cores."""
        parts = portions(settings.scale, cores)
        return [replace(settings, scale=part) if part else None for part in parts]

    def guess(self, kind: Kind, settings: Settings) -> float:
        return settings.rest + settings.scale * each(kind)

    def measure(self, trial: Trial) -> None:
        idle(trial.settings.rest)
        count = room(trial)
        if not count:
            raise InstanceFailed("one instance could leave the host less than its reserve")
        running = _out(trial, count)
        if not running:
            raise InstanceFailed(f"none of {count} became ready")
        _in(trial, running)

    def failed_row(self) -> tuple[str, str, str]:
        return "all ready", "time", "s"


def portions(whole: int, weights: Sequence[float]) -> list[int]:
    """Split a number in proportion to weights, without a rest."""
    ends = [round(whole * each / sum(weights)) for each in accumulate(weights)]
    return [end - begin for begin, end in pairwise([0, *ends])]


def room(trial: Trial) -> int:
    """Return how many may be started, if each took all the memory that it may."""
    spare = meminfo.available() - trial.settings.reserve
    return max(0, min(trial.settings.scale, spare // trial.workload.memory))


def _out(trial: Trial, count: int) -> Sequence[Instance]:
    """Start all of them; return those that became ready."""
    called = time.monotonic_ns()
    at_once = min(count, trial.variant.parallel)
    ready, failed = apart(trial.start_together(count, at_once))
    running = [instance for _, instance in ready]
    stamps = [instance.stamps.t3 for instance in running if instance.stamps.t3 is not None]
    bound = {"asked": trial.settings.scale} if count < trial.settings.scale else {}
    _record(trial, "out", "all ready", [(stamp - called) / 1e9 for stamp in stamps], **bound)
    for _, error in failed:
        trial.fail("out", "time", "s", str(error))
    return running


def _in(trial: Trial, running: Sequence[Instance]) -> None:
    """Stop all of them."""
    asked = time.monotonic_ns()
    gone, failed = apart(trial.stop_together(running))
    _record(trial, "in", "all gone", [(stamp - asked) / 1e9 for _, (_, stamp) in gone])
    for _, error in failed:
        trial.fail("in", "time", "s", str(error))


def _record(trial: Trial, curve: str, whole: str, times: Sequence[float], **also: int) -> None:
    """Record when the n-th was there, and how long all took, with the rate."""
    for number, took in enumerate(sorted(times), start=1):
        trial.record(curve, "time", "s", took, instances=number)
    if times:
        last = max(times)
        trial.record(whole, "time", "s", last, instances=len(times), **also)
        trial.record(whole, "rate", "1/s", len(times) / last, instances=len(times), **also)
