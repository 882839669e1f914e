"""Density: how many instances this host takes until a rule, declared beforehand, says stop."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from statistics import median
from typing import ClassVar

from bench import meminfo, pressure
from bench.experiments.base import Experiment, Settings, Trial, each, idle, seconds
from bench.subjects.base import InstanceFailed, Kind
from bench.units import text

# One start may be slow by chance: other programs run, too. That the fastest of three is, and again
# the fastest of the next three after a rest, is seldom chance.
WINDOW = 3
SLOWER = 2.0

# Of the last ten seconds, so much more than before the ramp: somebody waited for memory (the kernel
# takes pages back and brings them again); somebody waited for a CPU.
PRESSURE = {"memory": 0.10, "cpu": 0.60}


@dataclass
class Ramp:
    """Where a ramp stands: what its stop rules look at."""

    memory_before: int
    instance_memory: int
    settings: Settings
    memory_now: int = 0
    elapsed: float = 0.0  # seconds since the ramp began
    starts: list[float] = field(default_factory=list)
    doubted: int | None = None  # number of starts when they first looked slow
    pressure_before: dict[str, float] = field(default_factory=dict)  # bench.pressure
    pressure: dict[str, float] = field(default_factory=dict)
    kills: int = 0  # of the whole kernel, for want of memory, when its instances were last asked
    killed: str = ""  # which of its instances was among them
    ended: str = ""  # which of its instances, once ready, has ended by itself

    @property
    def used(self) -> int:
        """By how much the host's MemAvailable has fallen, bytes."""
        return self.memory_before - self.memory_now

    def stop_rule(self) -> tuple[str, str] | None:
        """Return the rule that fires now (name, in words), or None to go on."""
        settings = self.settings
        if self.killed:
            return "OOM", f"the kernel killed {self.killed} for want of memory"
        if self.ended:
            return "instance ended", f"{self.ended} ended by itself after it had been ready"
        if len(self.starts) >= settings.count:
            return "count", f"{settings.count} instances run"
        if self.used >= settings.memory_budget:
            budget = text(settings.memory_budget, "B")
            return "memory budget", f"the host has {budget} less than before the first"
        if self.memory_now - self.instance_memory < settings.reserve:
            reserve = text(settings.reserve, "B")
            return "host reserve", f"one more could leave the host less than {reserve}"
        for resource, now in self.pressure.items():
            before = self.pressure_before[resource]
            if now - before >= PRESSURE[resource]:
                return (
                    f"{resource} pressure",
                    f"for {100 * now:.0f} % of the last 10 s something waited for {resource}, "
                    f"before the first for {100 * before:.0f} %",
                )
        if self.elapsed >= settings.ramp_seconds:
            return "time", f"the ramp has lasted {text(settings.ramp_seconds, 's')}"
        if self.doubted is not None and len(self.starts) >= self.doubted + WINDOW and self.slow:
            first, last = median(self.starts[:WINDOW]), min(self.starts[-WINDOW:])
            return (
                "slow start",
                f"the fastest of the last {WINDOW} starts took {text(last, 's')}, "
                f"the median of the first {WINDOW} {text(first, 's')}",
            )
        return None

    @property
    def slow(self) -> bool:
        """True if starts now take more than twice as long as at first."""
        if len(self.starts) < 2 * WINDOW:
            return False
        return min(self.starts[-WINDOW:]) > SLOWER * median(self.starts[:WINDOW])

    def doubt(self) -> bool:
        """Note when starts begin to look slow; True at that moment."""
        if not self.slow:
            self.doubted = None
        elif self.doubted is None:
            self.doubted = len(self.starts)
            return True
        return False


class Density(Experiment):
    name: ClassVar = "density"
    title: ClassVar = "Density"
    question: ClassVar = "How many idle instances does this host take until a declared rule fires?"
    method: ClassVar = (
        "Instances are added one after the other and all of them left running, until the first of "
        "these rules fires: a number of instances or a time is reached; the host's MemAvailable "
        f"has fallen by the memory budget; the fastest of the last {WINDOW} starts took more than "
        f"twice the median of the first {WINDOW}, and so did the next {WINDOW} after a rest; one "
        "more instance could leave the host less than its reserve; the kernel kills an instance "
        "for want of memory (OOM), or one ends by itself; a start fails; something on the host "
        f"waits for memory {100 * PRESSURE['memory']:.0f} %, or for a CPU "
        f"{100 * PRESSURE['cpu']:.0f} % more of the time than before the first (pressure stall "
        "information, some avg10). The rule that fired "
        "is part of the result, and so is what one more instance takes of the host's memory. At "
        "the top the bench's own share of a CPU is read; then all are taken down."
    )
    limits: ClassVar = (
        "The instances are idle, so this is a bound by memory and start-up, not by load. Where the "
        "count is what stopped a ramp, the host could have taken more."
    )
    repeats: ClassVar = False
    fleet: ClassVar = True

    def guess(self, kind: Kind, settings: Settings) -> float:
        return 2 * settings.rest + min(settings.count * each(kind), settings.ramp_seconds)

    def measure(self, trial: Trial) -> None:
        idle(trial.settings.rest)
        before = meminfo.available()
        ramp = Ramp(before, trial.workload.memory, trial.settings, memory_now=before)
        ramp.pressure_before = pressure.now()
        ramp.kills = meminfo.oom_kills()
        trial.record("ramp", "mem_available", "B", before, sample=0, instances=0)
        began = time.monotonic()
        while (rule := ramp.stop_rule()) is None:
            try:
                _add(trial, ramp)
            except InstanceFailed as error:
                number = len(ramp.starts) + 1
                trial.fail("T0-T3", "time", "s", str(error), number - 1, instances=number)
                _look_for_ended(trial, ramp)
                rule = ramp.stop_rule() if ramp.killed else ("failed start", str(error))
                break
            _look_for_ended(trial, ramp)
            ramp.elapsed = time.monotonic() - began
            if ramp.doubt():
                idle(trial.settings.rest)
        assert rule is not None, "the loop ended"
        _watch_itself(trial, len(ramp.starts))
        _look_for_ended(trial, ramp)
        if ramp.ended or ramp.killed:
            rule = ramp.stop_rule() or rule
        trial.record(
            "reached",
            "instances",
            "1",
            len(ramp.starts),
            rule=rule[0],
            rule_text=rule[1],
            count=trial.settings.count,
            ramp_seconds=trial.settings.ramp_seconds,
            memory_budget=trial.settings.memory_budget,
            reserve=trial.settings.reserve,
            pressure=pressure.unavailable() or "watched",
        )

    def failed_row(self) -> tuple[str, str, str]:
        return "reached", "instances", "1"


def _add(trial: Trial, ramp: Ramp) -> None:
    """Start one more and look at the host."""
    number = len(ramp.starts) + 1
    instance = trial.start_ready()
    took = seconds(instance.stamps.t0, instance.stamps.t3)
    ramp.starts.append(took)
    ramp.memory_now = meminfo.available()
    ramp.pressure = pressure.now()
    trial.record("T0-T3", "time", "s", took, sample=number - 1, instances=number)
    trial.record("ramp", "mem_available", "B", ramp.memory_now, sample=number, instances=number)


def _look_for_ended(trial: Trial, ramp: Ramp) -> None:
    """Note which instance has ended by itself, and which the kernel has killed something of for
    want of memory: of that they are asked one by one, and only when it has killed anything since,
    here or elsewhere."""
    running = [one for one in trial.instances if one.stamps.t3 is not None]
    ramp.ended = next((one.name for one in running if one.ended()), "")
    now = meminfo.oom_kills()
    if now != ramp.kills:
        ramp.kills = now
        ramp.killed = next((one.name for one in trial.instances if one.oom_killed()), "")


def _watch_itself(trial: Trial, instances: int) -> None:
    """Record what the bench takes while all of them idle: of a CPU, and of memory."""
    cpu, begun = time.process_time(), time.monotonic()
    idle(trial.settings.rest)
    share = (time.process_time() - cpu) / max(time.monotonic() - begun, 1e-9)
    trial.record("bench", "cpu", "1", share, instances=instances)
    trial.record("bench", "rss", "B", meminfo.own(), instances=instances)
