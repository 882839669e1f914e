"""Lesson "bad": wrong measurements and the wrong answers they give (notebook 22)."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from statistics import median

from labrt.lessons import drawn, needs, observe
from labrt.lessons.lesson import Check, Lesson, Prediction, Verdict
from labrt.lessons.needs import Need

ENDS = ("adagio", "bolero", "canon", "fugue", "gavotte", "largo", "minuet", "rondo", "tango")
SMALL = 5 << 20  # bytes; a shell that waits has less
LEAST, MOST = 20_000, 60_000  # kB


def _polled(times: Sequence[float], interval: float) -> str:
    """Judge bad-p1. What was measured by looking at intervals, and the interval, seconds. (The
    median: on a busy host a first look can come so late that the line is there.)"""
    return "b" if median(times) >= interval else "a"


def _shim(seen: float, held: float) -> str:
    """Judge bad-p2. What the started command's own memory is, and what its container holds."""
    return "a" if seen >= held else "b"


def _mean(times: Sequence[float], mean: float) -> str:
    """Judge bad-p3. The starts, and their mean."""
    longer = sum(each >= mean for each in times)
    return "a" if longer > len(times) / 4 else "b" if longer else "c"


def _weighed(wanted: str) -> Verdict:
    """bad-01: a container whose children hold the drawn memory, and whose first process doesn't."""
    found = {}
    for first in observe.containers():
        below = sum(map(observe.weight, observe.descendants(first)))
        found[first] = (observe.weight(first), below)
    told = "; ".join(
        f"pid {pid}: {own >> 10} kB in its first process, {below >> 10} kB below it"
        for pid, (own, below) in found.items()
    )
    return Verdict(
        passed=any(
            own < SMALL and int(wanted) <= below >> 10 < 2 * int(wanted)
            for own, below in found.values()
        ),
        expected=f"a container whose first process has less than {SMALL >> 10} kB (PSS), and those "
        f"below it {wanted} kB or a little more",
        saw=told or "no running container",
    )


def _by_event(wanted: str) -> Verdict:
    """bad-02: an epoll(7) descriptor of this process that watches a pidfd of the container."""
    running = {pid: observe.hostname(pid) for pid in observe.containers()}
    named = ", ".join(name for name in running.values() if name)
    watched = [f"pid {pid} ({running.get(pid) or 'no container'})" for pid in _watched()]
    return Verdict(
        passed=wanted in [running.get(pid) for pid in _watched()],
        expected="an epoll descriptor of this notebook's that watches a pidfd of the first process "
        f"of the container {wanted}",
        saw=f"watched pidfds: {', '.join(watched) or 'none'}; containers: {named or 'none'}",
    )


def _watched() -> set[int]:
    """Return the pids whose end an epoll descriptor of this process waits for: its fdinfo names
    the descriptors it watches, that of a pidfd the pid (proc_pid_fdinfo(5))."""
    pids, watched = {}, set()
    for file in Path("/proc/self/fdinfo").iterdir():
        try:
            lines = file.read_text().splitlines()
        except OSError:
            continue  # the one that this loop reads the folder by
        for name, _, value in (line.partition(":") for line in lines):
            if name == "Pid":
                pids[int(file.name)] = int(value)
            elif name == "tfd":
                watched.add(int(value.split()[0]))
    return {pid for fd, pid in pids.items() if fd in watched}


LESSON = Lesson(
    key="bad",
    number=22,
    title="bad benchmarks",
    needs=(
        needs.CONTAINER,
        Need("limit a container", "one of the wrong measurements, unlike limits", needs.limits),
        needs.VM,
    ),
    predictions=(
        Prediction(
            id="bad-p1",
            choices={
                "a": "about as much as by event: both see the same line",
                "b": "no less than the interval, 0.2 s",
            },
            judge=_polled,
        ),
        Prediction(
            id="bad-p2",
            choices={
                "a": "32 MiB or more: the container runs in it",
                "b": "less than 32 MiB: the container's memory isn't in it",
            },
            judge=_shim,
        ),
        Prediction(
            id="bad-p3",
            choices={
                "a": "about half of them",
                "b": "only the slow one",
                "c": "none of them",
            },
            judge=_mean,
        ),
    ),
    checks=(
        Check(
            id="bad-01",
            observe=_weighed,
            hints=(
                "A shell that starts something in the background and waits stays small itself.",
                "The cell of section 4 has a program that holds memory. How much does it hold, and "
                "which process of the container is it?",
                "It takes a moment until the memory is filled: wait before the check looks.",
            ),
            draw=drawn.number(LEAST, MOST - LEAST),
        ),
        Check(
            id="bad-02",
            observe=_by_event,
            hints=(
                "First a descriptor that tells when a process ends. Which system call makes one? "
                "(man 2 pidfd_open) Python has this call in its module os.",
                "Then one that waits for others: Python has epoll in its module select.",
                "The descriptor must be open, and the container run, while the check looks.",
            ),
            draw=drawn.name(ENDS),
        ),
    ),
)
