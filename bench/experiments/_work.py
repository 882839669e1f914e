"""What the experiments have in common whose instances work (bench/meter/meter.c)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any, ClassVar, NamedTuple

from bench import static_image
from bench.experiments.base import Experiment, Settings, Trial
from bench.meter import METER
from bench.subjects.base import Kind, Workload
from bench.work import Part, Work

PROGRAM = (
    "One static program in an image of its own does a fixed amount of work, the same in every kind "
    "of instance. It writes a line before and after, and the host stamps both as they arrive: no "
    "clock of a guest is in these numbers."
)
METHOD = PROGRAM + (
    " One instance at a time, with one CPU, on an otherwise idle host, all subjects interleaved in "
    "random order."
)


class Quantity(NamedTuple):
    """What is recorded of a part: its metric, its unit, and how the value follows."""

    metric: str
    unit: str
    value: Callable[[Part], float]


class WorkExperiment(Experiment):
    """Has instances do parts of the meter's work.

    Class attributes:
        parts: their names.
        metric, unit: what is recorded of each part, see `value`, unless `quantity` says otherwise.
    """

    repeats: ClassVar = True
    parts: ClassVar[tuple[str, ...]]
    metric: ClassVar[str]
    unit: ClassVar[str]

    def unavailable(self) -> str | None:
        return static_image.unavailable()

    def workload(self, asked: Workload) -> Workload:
        image = METER.image()
        return replace(
            asked, image=image.name, digest=image.digest, name=self.name, command=self.parts
        )

    def trials(self, settings: Settings) -> int:
        return settings.n or (5 if settings.quick else 15)

    def guess(self, kind: Kind, settings: Settings) -> float:
        return 5.0 if kind == "vm" else 0.5

    def value(self, part: Part) -> float:
        """Return what is recorded of a part, in `unit`: seconds per unit of work."""
        return part.each

    def quantity(self, name: str) -> Quantity:
        """Return what is recorded of the part of this name."""
        return Quantity(self.metric, self.unit, self.value)

    def measure(self, trial: Trial) -> None:
        self.keep(trial, trial.work(trial.start_ready()))

    def keep(self, trial: Trial, done: Work, missing: str = "it never did this part") -> None:
        """Record each part.

        Args:
            missing: why it isn't there.
        """
        for name in self.parts:
            metric, unit, value = self.quantity(name)
            if name not in done.parts:
                trial.fail(name, metric, unit, missing)
                continue
            part = done.parts[name]
            also: dict[str, Any] = {"count": part.count}
            if name in done.said:
                also["outcome"] = done.said[name]  # the same for all, or they did other work
            trial.record(name, metric, unit, value(part), **also)

    def failed_row(self) -> tuple[str, str, str]:
        return self.parts[0], *self.quantity(self.parts[0])[:2]
