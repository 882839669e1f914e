"""What a cgroup uses now, and has used: CPU time, memory, processes, I/O, pressure (cgroups(7)).

Everything is read from the kernel's files at the moment it is asked for; nothing is kept. Pressure
stall information tells what share of the time somebody in the cgroup had to wait for a resource
("some"), and everybody at once ("full"): https://docs.kernel.org/accounting/psi.html

Lesson: notebooks 11 to 15.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

from labrt.cgroup_v1 import numbers
from labrt.cgroups import Cgroup, MemoryUse
from labrt.errors import LabError

RESOURCES = ("cpu", "memory", "io")

T = TypeVar("T")


@dataclass(frozen=True)
class Stall:
    """One line of a pressure file: share of the time, percent, over the last 10, 60 and 300
    seconds; and the time in all, microseconds."""

    avg10: float
    avg60: float
    avg300: float
    total: int


@dataclass(frozen=True)
class Pressure:
    """`full` is None where an older kernel doesn't tell it (for the CPU, before Linux 5.13)."""

    some: Stall
    full: Stall | None


@dataclass(frozen=True)
class Usage:
    """What a cgroup uses, those below it included. None is what this host doesn't tell.

    Attributes:
        time: when it was read, CLOCK_MONOTONIC, seconds; two readings give a rate.
        cpu_usec, user_usec, system_usec: CPU time, microseconds (cpu.stat).
        periods, throttled_periods, throttled_usec: of cpu.max's periods, those in which it was
            held back, and for how long in all.
        memory, memory_peak, swap: bytes now, and at most.
        memory_max: its limit, None also for no limit.
        memory_by_kind: what the memory is.
        oom_kills: processes killed for want of memory.
        pids, pids_peak, pids_max: tasks (threads count), now and at most, and their limit.
        read_bytes, written_bytes, reads, writes: block I/O (io.stat).
        pressure: "cpu", "memory", "io" → its pressure; empty where the kernel keeps none.
    """

    time: float
    cpu_usec: int | None
    user_usec: int | None
    system_usec: int | None
    periods: int | None
    throttled_periods: int | None
    throttled_usec: int | None
    memory: int | None
    memory_peak: int | None
    memory_max: int | None
    swap: int | None
    memory_by_kind: MemoryUse | None
    oom_kills: int
    pids: int | None
    pids_peak: int | None
    pids_max: int | None
    read_bytes: int | None
    written_bytes: int | None
    reads: int | None
    writes: int | None
    pressure: dict[str, Pressure]


def read(cgroup: Cgroup) -> Usage:
    """Read what a cgroup uses now.

    Raises:
        LabError: there is no such cgroup.
    """
    if not cgroup.exists():
        raise LabError(f"read what the cgroup {cgroup.name} uses", "there is none of this name")
    cpu = numbers(_text(cgroup, "cpu.stat"))
    io = _io(_told(lambda: cgroup.read("io.stat")))
    return Usage(
        time=time.monotonic(),
        cpu_usec=cpu.get("usage_usec"),
        user_usec=cpu.get("user_usec"),
        system_usec=cpu.get("system_usec"),
        periods=cpu.get("nr_periods"),
        throttled_periods=cpu.get("nr_throttled"),
        throttled_usec=cpu.get("throttled_usec"),
        memory=_number(cgroup, "memory.current"),
        memory_peak=_number(cgroup, "memory.peak"),
        memory_max=_number(cgroup, "memory.max"),
        swap=_number(cgroup, "memory.swap.current"),
        memory_by_kind=_told(cgroup.memory),
        oom_kills=cgroup.oom_kills(),
        pids=_number(cgroup, "pids.current"),
        pids_peak=_number(cgroup, "pids.peak"),
        pids_max=_number(cgroup, "pids.max"),
        read_bytes=io.get("rbytes"),
        written_bytes=io.get("wbytes"),
        reads=io.get("rios"),
        writes=io.get("wios"),
        pressure=pressure(cgroup),
    )


def pressure(cgroup: Cgroup) -> dict[str, Pressure]:
    """Return the pressure on a cgroup, by resource; empty where the kernel keeps none (PSI is left
    out or switched off, or there is no v2 hierarchy)."""
    texts = {name: _text(cgroup, f"{name}.pressure") for name in RESOURCES}
    return {name: _pressure(text) for name, text in texts.items() if text}


def _told(ask: Callable[[], T]) -> T | None:
    """Return an answer, or None where this host has no controller or no file for it."""
    try:
        return ask()
    except (OSError, LabError, KeyError):
        return None


def _text(cgroup: Cgroup, file: str) -> str:
    return _told(lambda: cgroup.read(file)) or ""


def _number(cgroup: Cgroup, file: str) -> int | None:
    text = _text(cgroup, file).strip()
    return int(text) if text.isdecimal() else None  # "max" is no number


def _io(text: str | None) -> dict[str, int]:
    """Sum io.stat over the devices; all zero where nothing was read or written yet."""
    if text is None:
        return {}
    pairs = [pair.partition("=") for line in text.splitlines() for pair in line.split()[1:]]
    keys = ("rbytes", "wbytes", "rios", "wios")
    return {key: sum(int(count) for name, _, count in pairs if name == key) for key in keys}


def _pressure(text: str) -> Pressure:
    lines = {kind: _stall(rest) for kind, *rest in map(str.split, text.splitlines())}
    return Pressure(lines["some"], lines.get("full"))


def _stall(pairs: list[str]) -> Stall:
    told = dict(pair.split("=") for pair in pairs)
    avg10, avg60, avg300 = (float(told[name]) for name in ("avg10", "avg60", "avg300"))
    return Stall(avg10, avg60, avg300, int(told["total"]))
