"""Limits: an instance asks for more CPU and memory than it may have. What does it get?"""

from __future__ import annotations

import math
import os
import time
from dataclasses import replace
from typing import Any, ClassVar, NamedTuple

import psutil

from bench import meminfo, static_image
from bench.demand import DEMAND
from bench.experiments.base import MIB, Experiment, Settings, Trial, idle
from bench.subjects.base import Instance, InstanceFailed, Workload
from labrt import usage

TIMES = 2  # the memory that it asks for, in limits
MORE = 2  # processes that compute, beyond the CPUs it may have
WINDOW, QUICK_WINDOW = 3.0, 1.0  # seconds: ten and more of the periods that cpu.max counts in


class Limits(Experiment):
    name: ClassVar = "limits"
    title: ClassVar = "Limits"
    question: ClassVar = "What does an instance get that asks for more than its limits?"
    method: ClassVar = (
        f"Memory: a child of its first process touches page after page, up to {TIMES} times the "
        "limit, until it is killed; told is how much it had by then. A container's limit is "
        "memory.max of its cgroup, a VM's the size of its RAM. CPU: then more processes than it "
        "has CPUs compute without end, and the host reads how much CPU time its processes "
        "take, in CPUs, and in which share of cpu.max's periods they were held back. A VM has no "
        "cpu.max: it has so many virtual CPUs, and its hypervisor's own time counts as its own."
    )
    limits: ClassVar = (
        "Where the host has no more CPUs than the limit, nothing is held back. A cgroup's limit "
        "counts page cache and kernel memory, too; a VM's RAM also holds its kernel. Limits of "
        "I/O and of the number of processes aren't tried."
    )
    repeats: ClassVar = True

    def unavailable(self) -> str | None:
        return static_image.unavailable()

    def workload(self, asked: Workload) -> Workload:
        image = DEMAND.image()
        command = (str(TIMES * asked.memory // MIB), str(_processes(asked)))
        return replace(
            asked, image=image.name, digest=image.digest, name=self.name, command=command
        )

    def trials(self, settings: Settings) -> int:
        return settings.n or (3 if settings.quick else 10)

    def measure(self, trial: Trial) -> None:
        if meminfo.available() - TIMES * trial.workload.memory < trial.settings.reserve:
            raise InstanceFailed("its demand could touch the host's reserve of memory")
        instance = trial.start_ready()
        said = trial.work(instance).said
        outcome, touched = said["memory"].split()
        also = {"limit": trial.workload.memory, "swap": psutil.swap_memory().total}
        trial.record("memory", "taken", "B", float(touched), outcome=outcome, **also)
        _measure_cpu(trial, instance)

    def failed_row(self) -> tuple[str, str, str]:
        return "memory", "taken", "B"


def _processes(workload: Workload) -> int:
    return math.ceil(workload.cpus) + MORE


def _measure_cpu(trial: Trial, instance: Instance) -> None:
    """Record how many CPUs an instance takes while it computes, and how often it was held back."""
    before = _cpu(instance)
    idle(QUICK_WINDOW if trial.settings.quick else WINDOW)
    now = _cpu(instance)
    also: dict[str, Any] = {
        "limit": trial.workload.cpus,
        "demand": _processes(trial.workload),
        "host_cpus": len(os.sched_getaffinity(0)),
        "host_idle": (now.idle - before.idle) / (now.time - before.time) / (os.cpu_count() or 1),
    }
    share = (now.used - before.used) / (now.time - before.time)
    trial.record("cpu", "share", "1", share, **also)
    if periods := now.periods - before.periods:
        held = (now.throttled - before.throttled) / periods
        trial.record("cpu", "throttled", "1", held, **also)


class _Cpu(NamedTuple):
    """Seconds of CPU time that the instance's processes have used, and that the host's CPUs were
    idle; when that was; cpu.max's periods, and those of them that it was held back in."""

    used: float
    idle: float
    time: float
    periods: int
    throttled: int


def _cpu(instance: Instance) -> _Cpu:
    """Read an instance's CPU time: from its processes, for not every one is where cpu.stat counts
    (a plain process joins no v2 hierarchy that is there beside v1's)."""
    times = [psutil.Process(pid).cpu_times() for pid in instance.pids()]
    cgroup = instance.cgroup()
    told = usage.read(cgroup) if cgroup is not None else None
    return _Cpu(
        used=sum(each.user + each.system for each in times),
        idle=psutil.cpu_times().idle,
        time=time.monotonic(),
        periods=(told and told.periods) or 0,
        throttled=(told and told.throttled_periods) or 0,
    )
