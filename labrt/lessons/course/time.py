"""Lesson "time": clocks set ahead (notebook 09, time_namespaces(7))."""

from __future__ import annotations

from pathlib import Path

from labrt.lessons import drawn, needs, observe
from labrt.lessons.lesson import Check, Lesson, Prediction, Verdict

DAY = 86400  # seconds


def _uptime(host: float, container: float) -> str:
    """Judge time-p1. What /proc/uptime says on both sides, seconds."""
    if container < 60:
        return "c"
    return "b" if container - host > DAY / 2 else "a"


def _date(host: float, container: float) -> str:
    """Judge time-p2. The time of day on both sides, seconds since 1970."""
    return "a" if abs(container - host) < 60 else "b"


def _changed(refused: bool, before: str, after: str) -> str:
    """Judge time-p3. Whether the write was refused; the container's offsets before and after."""
    if refused:
        return "c"
    return "a" if before == after else "b"


def offsets(pid: int) -> dict[str, int]:
    """Return a process's clock offsets, seconds by clock; {} if they can't be read
    (/proc/PID/timens_offsets in time_namespaces(7))."""
    try:
        lines = Path(f"/proc/{pid}/timens_offsets").read_text().splitlines()
    except OSError:
        return {}
    return {fields[0]: int(fields[1]) for line in lines if (fields := line.split())}


def _days_ahead(wanted: str) -> Verdict:
    """time-01: a container whose uptime is so many days ahead."""
    found = {pid: offsets(pid).get("boottime", 0) / DAY for pid in observe.containers()}
    told = ", ".join(f"{days:g} days (pid {pid})" for pid, days in found.items())
    return Verdict(
        passed=int(wanted) in found.values(),
        expected=f"a running container whose boot-time clock is {wanted} days ahead",
        saw=f"ahead by {told}" if found else "no running container",
    )


def _by_hand(wanted: str) -> Verdict:
    """time-02: a process, not a labrt container, whose monotonic clock is ahead by the seconds."""
    found = {pid: offsets(pid).get("monotonic", 0) for pid in observe.strangers("time")}
    told = ", ".join(f"{seconds} s (pid {pid})" for pid, seconds in found.items())
    return Verdict(
        passed=int(wanted) in found.values(),
        expected=f"a process that labrt didn't start, its monotonic clock {wanted} s ahead",
        saw=f"in other time namespaces, ahead by {told}" if found else "no other time namespace",
    )


LESSON = Lesson(
    key="time",
    number=9,
    title="clocks set ahead",
    needs=(needs.CONTAINER, needs.COMMANDS, needs.VM),
    predictions=(
        Prediction(
            id="time-p1",
            choices={
                "a": "the host's uptime",
                "b": "a day more than the host's",
                "c": "a few seconds: since the container started",
            },
            judge=_uptime,
        ),
        Prediction(
            id="time-p2",
            choices={"a": "today's, as on the host", "b": "tomorrow's"},
            judge=_date,
        ),
        Prediction(
            id="time-p3",
            choices={
                "a": "nothing: the file takes it and ignores it",
                "b": "the container's clock jumps",
                "c": "the write is refused",
            },
            judge=_changed,
        ),
    ),
    checks=(
        Check(
            id="time-01",
            observe=_days_ahead,
            hints=(
                "The container in section 3 is one day ahead. What said so?",
                "The offset is given in seconds. How many are in a day?",
                "The check looks at the clock that /proc/uptime shows, in a container that runs.",
            ),
            draw=drawn.number(100, 9000),
        ),
        Check(
            id="time-02",
            observe=_by_hand,
            hints=(
                "The cell above shifts one of two clocks. What is the flag for the other one?",
                "Only a process that is born in the new namespace is in it: look for --fork.",
                "Don't wait for the program: subprocess.Popen starts it and returns at once.",
            ),
            draw=drawn.number(100_000, 900_000),
        ),
    ),
)
