"""Memory: what one more instance costs, in four numbers, because no single one is true.

A container shares pages with the host and with other containers; a VM's memory is one process's
memory with a guest kernel in it. PSS, USS, the cgroup's account and the fall of the host's
MemAvailable each see another part of that, and only together they are fair.

The ramp goes up and down again. What else happens on the host meanwhile moves MemAvailable, too; on
the way up alone such a drift would pass for the instances' memory, on the way up and down it
cancels and shows as a wide interval. The host without any instance is read at the end only: before
the first, it is still giving back what the trial before has freed.
"""

from __future__ import annotations

import time
from statistics import median
from typing import ClassVar

from bench import meminfo
from bench.experiments.base import Experiment, Settings, Trial, each, idle
from bench.subjects.base import Instance, InstanceFailed, Kind

LEAST_RUNGS = 3  # up and down again that makes six points for the slope
PER_RUNG = 8  # the kernel hands out memory in lots; one process more or less doesn't show
READINGS = 3  # of the host's memory on each rung: another program's short peak is outvoted
RUNG_STARTS = 0.5  # seconds that the starts of one rung may take


class Memory(Experiment):
    name: ClassVar = "memory"
    title: ClassVar = "Memory"
    question: ClassVar = "How much memory does one more idle instance take?"
    method: ClassVar = (
        f"Instances are added in rungs of at most {PER_RUNG} (as many as start in {RUNG_STARTS:g} "
        "s, and as the host's reserve leaves room for) and taken away again, rung by rung, each "
        "time with a moment of idling before the host is read. "
        "(1) PSS and USS of the processes that the host has because of an instance, from "
        "smaps_rollup; (2) what its cgroup is charged with: anon + shmem + kernel, and file (page "
        "cache, which the host takes back when it needs it) apart; (3) the slope of the host's "
        "MemAvailable over the number of instances, by regression; (4) of a VM's memory, what is "
        "guest RAM and what is the hypervisor's own. (1), (2) and (4) are read from every instance "
        "with all of them running."
    )
    limits: ClassVar = (
        "The instances are idle: a working service adds its own memory, the same everywhere. PSS "
        "and USS don't see kernel memory; the cgroup doesn't see what it shares with others and "
        "somebody else was charged for. MemAvailable sees all of that, and other programs, too; "
        "the kernel also keeps freed memory at hand for the next instance, so the first few seem "
        "to cost nothing."
    )
    repeats: ClassVar = False

    def guess(self, kind: Kind, settings: Settings) -> float:
        rung = max(each(kind), min(PER_RUNG * each(kind), RUNG_STARTS))
        climb = min(settings.rungs * rung, settings.rung_seconds)
        return settings.rest + climb + 2 * settings.rungs * settings.settle

    def measure(self, trial: Trial) -> None:
        idle(trial.settings.rest)
        rungs = _climb(trial)
        running = [instance for rung in rungs for instance in rung]
        for index, instance in enumerate(running):
            _weigh(trial, instance, index, len(running))
        while rungs:
            for instance in rungs.pop():
                instance.destroy()
            _weigh_host(trial, sum(map(len, rungs)), "down")

    def failed_row(self) -> tuple[str, str, str]:
        return "ramp", "mem_available", "B"


def _climb(trial: Trial) -> list[list[Instance]]:
    """Add rung after rung; return the instances of each. The first that fails ends the climb."""
    rungs: list[list[Instance]] = []
    began = time.monotonic()
    while _another(len(rungs), time.monotonic() - began, trial.settings):
        if not _room(trial):
            if len(rungs) < LEAST_RUNGS:
                reason = "one more instance could touch the host's reserve of memory"
                trial.fail("ramp", "mem_available", "B", reason)
            break
        try:
            rungs.append(_rung(trial))
        except InstanceFailed as error:
            trial.fail("ramp", "mem_available", "B", str(error), sample=len(trial.instances))
            break
        _weigh_host(trial, sum(map(len, rungs)), "up")
    return rungs


def _room(trial: Trial) -> bool:
    """Whether one more instance may fill its memory without touching the host's reserve."""
    return meminfo.available() - trial.workload.memory >= trial.settings.reserve


def _another(count: int, elapsed: float, settings: Settings) -> bool:
    """True if the ramp gets another rung."""
    if count >= settings.rungs:
        return False
    return count < LEAST_RUNGS or elapsed < settings.rung_seconds


def _rung(trial: Trial) -> list[Instance]:
    """Start one instance, and more for as long as there is room and time."""
    began = time.monotonic()
    rung = [trial.start_ready()]
    each = time.monotonic() - began
    while len(rung) < PER_RUNG and (len(rung) + 1) * each < RUNG_STARTS and _room(trial):
        rung.append(trial.start_ready())
    return rung


def _weigh_host(trial: Trial, count: int, way: str) -> None:
    """Record the host's MemAvailable: the median of readings spread over the time of idling."""
    readings = []
    for _ in range(READINGS):
        idle(trial.settings.settle / READINGS)
        readings.append(meminfo.available())
    free = median(readings)
    trial.record("ramp", "mem_available", "B", free, sample=count, instances=count, way=way)


def _weigh(trial: Trial, instance: Instance, index: int, count: int) -> None:
    """Record what one instance takes while `count` of them run."""
    if instance.ended():
        reason = f"{instance.name} ended by itself after it had been ready"
        trial.fail("idle", "pss", "B", reason, sample=index, instances=count)
        return
    _weigh_processes(trial, instance, index, count)
    _weigh_cgroup(trial, instance, index, count)
    for metric, size in instance.extra_memory().items():
        trial.record("idle", metric, "B", size, sample=index, instances=count)


def _weigh_processes(trial: Trial, instance: Instance, index: int, count: int) -> None:
    try:
        found = meminfo.of_processes(instance.pids())
    except OSError as error:
        for metric in ("pss", "uss", "rss"):
            trial.fail("idle", metric, "B", str(error), sample=index, instances=count)
        return
    for metric in ("pss", "uss", "rss"):
        trial.record("idle", metric, "B", getattr(found, metric), sample=index, instances=count)


def _weigh_cgroup(trial: Trial, instance: Instance, index: int, count: int) -> None:
    cgroup = instance.cgroup()
    if cgroup is None:
        if index == 0:  # so it is with all of them
            trial.fail("idle", "cgroup_used", "B", "no cgroup of its own", index, instances=count)
        return
    try:
        use = cgroup.memory()
    except OSError as error:
        trial.fail("idle", "cgroup_used", "B", str(error), index, instances=count)
        return
    for part in ("anon", "shmem", "file"):
        trial.record(
            "idle", f"cgroup_{part}", "B", getattr(use, part), sample=index, instances=count
        )
    if use.kernel is None:
        trial.fail(
            "idle", "cgroup_used", "B", "the kernel keeps no such count", index, instances=count
        )
        return
    trial.record("idle", "cgroup_kernel", "B", use.kernel, sample=index, instances=count)
    used = use.anon + use.shmem + use.kernel
    trial.record("idle", "cgroup_used", "B", used, sample=index, instances=count)
