"""Scheduling: how the kernel shares out processors and disks to a process (sched(7)).

They are a process's own and inherited; a cgroup's weights are above them.
"""

from __future__ import annotations

import os
from typing import ClassVar

from labrt import limits, syscalls
from labrt.spec import Scheduler
from labrt.step import Context, Step

# sched_setattr(2), linux/sched.h
POLICIES = {
    "SCHED_OTHER": 0,
    "SCHED_FIFO": 1,
    "SCHED_RR": 2,
    "SCHED_BATCH": 3,
    "SCHED_IDLE": 5,
    "SCHED_DEADLINE": 6,
}
FLAGS = {
    "SCHED_FLAG_RESET_ON_FORK": 0x01,
    "SCHED_FLAG_RECLAIM": 0x02,
    "SCHED_FLAG_DL_OVERRUN": 0x04,
    "SCHED_FLAG_KEEP_POLICY": 0x08,
    "SCHED_FLAG_KEEP_PARAMS": 0x10,
    "SCHED_FLAG_UTIL_CLAMP_MIN": 0x20,
    "SCHED_FLAG_UTIL_CLAMP_MAX": 0x40,
}
# ioprio_set(2): the class is above the level.
IO_CLASSES = {"IOPRIO_CLASS_RT": 1, "IOPRIO_CLASS_BE": 2, "IOPRIO_CLASS_IDLE": 3}
IO_CLASS_SHIFT = 13


class SetScheduler(Step):
    """By the host, for a real-time policy or a better nice value takes CAP_SYS_NICE over it."""

    side: ClassVar = "host"
    man: ClassVar = "sched_setattr(2)"
    reason: ClassVar = "asked for"

    def __init__(self, scheduler: Scheduler) -> None:
        self.scheduler = scheduler

    def describe(self) -> str:
        asked = self.scheduler
        return f"sched_setattr(CHILD, {asked.policy}, nice {asked.nice}, priority {asked.priority})"

    def do(self, context: Context) -> None:
        asked = self.scheduler
        syscalls.sched_setattr(
            context.pid,
            POLICIES[asked.policy],
            sum(FLAGS[flag] for flag in asked.flags),
            asked.nice,
            asked.priority,
            (asked.runtime, asked.deadline, asked.period),
        )


class SetIoPriority(Step):
    side: ClassVar = "host"
    man: ClassVar = "ioprio_set(2)"
    reason: ClassVar = "asked for; the real-time class takes CAP_SYS_ADMIN over the host"

    def __init__(self, priority: int) -> None:
        self.priority = priority

    def describe(self) -> str:
        kind, level = divmod(self.priority, 1 << IO_CLASS_SHIFT)
        return f"ioprio_set(CHILD, class {kind}, level {level})"

    def do(self, context: Context) -> None:
        syscalls.ioprio_set(context.pid, self.priority)


class SetAffinity(Step):
    side: ClassVar = "container"
    man: ClassVar = "sched_setaffinity(2)"
    reason: ClassVar = "asked for"

    def __init__(self, cpus: str) -> None:
        self.cpus = cpus

    def describe(self) -> str:
        return f"sched_setaffinity(0, {self.cpus})"

    def do(self, context: Context) -> None:
        os.sched_setaffinity(0, limits.members(self.cpus))
