"""Clocks: a time namespace shifts CLOCK_MONOTONIC and CLOCK_BOOTTIME (time_namespaces(7)).

A process never moves into a new time namespace itself: unshare(2) prepares one for its children.
Until the first of them is born, and no longer, /proc/self/timens_offsets can be written. So the
namespace is made by a process between host and child, which writes the offsets and then clones.
CLOCK_REALTIME, the time of day, is everybody's.

Lesson: notebook 09.
"""

from __future__ import annotations

import math
import os
import time
from collections.abc import Mapping

from labrt import paths, syscalls
from labrt.errors import LabError
from labrt.options import Options

CLOCKS = {"monotonic": time.CLOCK_MONOTONIC, "boottime": time.CLOCK_BOOTTIME}
LATEST = (2**63 - 1) // 10**9 // 2  # seconds, some 146 years: the kernel shows no clock beyond


def chosen(wishes: Options) -> dict[str, float]:
    """Return the clocks of --time-offset → seconds they are ahead.

    Raises:
        LabError: no such clock, not a number, a clock that would be below zero or too far ahead; a
            kernel without time namespaces.
    """
    offsets = dict(map(_offset, wishes.time_offset))
    if offsets and not os.path.exists("/proc/self/ns/time"):
        raise LabError(
            "shift the clocks", "this kernel has no time namespaces", remedy="Linux 5.6 or later"
        )
    return offsets


def _offset(asked: str) -> tuple[str, float]:
    clock, _, text = asked.partition("=")
    tried = f"shift a clock by {asked!r}"
    try:
        seconds = float(text)
    except ValueError:
        seconds = math.nan
    if clock not in CLOCKS or not math.isfinite(seconds):
        raise LabError(tried, "not monotonic=SECONDS or boottime=SECONDS")
    if not possible(clock, seconds):
        now = time.clock_gettime(CLOCKS[clock])
        raise LabError(tried, f"it may go from {-now:.0f} to {LATEST - now:.0f}, no clock below 0")
    return clock, seconds


def possible(clock: str, seconds: float) -> bool:
    """Whether a clock can be that much ahead of what it is now."""
    return 0 <= time.clock_gettime(CLOCKS[clock]) + seconds <= LATEST


def lines(offsets: Mapping[str, float]) -> str:
    """Return offsets as /proc/PID/timens_offsets takes them: clock, seconds, nanoseconds."""
    split = {clock: divmod(round(offset * 10**9), 10**9) for clock, offset in offsets.items()}
    return "".join(f"{clock} {whole} {rest}\n" for clock, (whole, rest) in split.items())


def unshare(offsets: Mapping[str, float]) -> None:
    """Make a time namespace with these offsets for the children of this process.

    Raises:
        OSError: EPERM without CAP_SYS_TIME in this process's user namespace.
    """
    syscalls.unshare(syscalls.CLONE_NEWTIME)
    if offsets:
        paths.write("/proc/self/timens_offsets", lines(offsets))
