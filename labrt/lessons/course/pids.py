"""Lesson "pids": a fork bomb that fizzles (notebook 13; pids.max in
https://docs.kernel.org/admin-guide/cgroup-v2.html)."""

from __future__ import annotations

from labrt import cgroup_folders, paths
from labrt.lessons import by_hand, drawn, groups, needs
from labrt.lessons.lesson import Check, Lesson, Prediction, Verdict


def _bombed(peak: int, limit: int, runs: bool) -> str:
    """Judge pids-p1. How many tasks there were at most under that limit; whether the container
    runs."""
    if not runs:
        return "c"
    return "a" if peak > limit else "b"


def _said(text: str) -> str:
    """Judge pids-p2. What the shell wrote that was to start more than it may."""
    if "fork" in text:
        return "c"
    return "a" if "started" in text else "b"


def _threads(started: int, wanted: int) -> str:
    """Judge pids-p3. How many threads a process could start."""
    return "a" if started >= wanted else "b"


def _full(wanted: str) -> Verdict:
    """pids-01: a running container that has as many tasks as its pids.max, the drawn number."""
    now, most = groups.texts("pids.current"), groups.texts("pids.max")
    told = "; ".join(f"{now[name]} of {most[name]} ({name})" for name in now if name in most)
    return Verdict(
        passed=any(now[name] == most.get(name) == wanted for name in now),
        expected=f"a running container with {wanted} processes of {wanted} that it may have",
        saw=told or "no running container with a cgroup",
    )


def _overfull(wanted: str) -> Verdict:
    """pids-02: a cgroup made by hand, its pids.max the drawn number, with more in it."""
    found = {
        name: (paths.read(folder / "pids.max").strip(), len(cgroup_folders.processes(folder)))
        for name, folder in by_hand.made("pids").items()
    }
    told = "; ".join(f"{name}: {n} processes, pids.max {most}" for name, (most, n) in found.items())
    return Verdict(
        passed=any(most == wanted and n > int(wanted) for most, n in found.values()),
        expected=f"a cgroup made by hand, with pids.max {wanted} and more processes than that",
        saw=told or "no cgroup made by hand",
    )


LESSON = Lesson(
    key="pids",
    number=13,
    title="a fork bomb that fizzles",
    needs=(needs.CONTAINER, needs.LIMITED, needs.VM),
    root_only="both exercises, where no cgroup is delegated to the user",
    predictions=(
        Prediction(
            id="pids-p1",
            choices={
                "a": "has more than 30 processes for a moment, until the kernel steps in",
                "b": "never has more than 30, and goes on",
                "c": "is killed when it reaches 30",
            },
            judge=_bombed,
        ),
        Prediction(
            id="pids-p2",
            choices={
                "a": "the shell waits until there is room",
                "b": "the kernel kills the shell",
                "c": "the shell is told an error",
            },
            judge=_said,
        ),
        Prediction(
            id="pids-p3",
            choices={
                "a": "ten: threads aren't processes",
                "b": "fewer than five: each thread counts",
            },
            judge=_threads,
        ),
    ),
    checks=(
        Check(
            id="pids-01",
            observe=_full,
            hints=(
                "Two numbers must be the same as yours: those that are there, and those allowed.",
                "The first program of the container counts as well.",
                "A shell that is refused a fork ends, and with it the container: start no more "
                "than there is room for, and have the shell wait.",
            ),
            draw=drawn.number(10, 30),
        ),
        Check(
            id="pids-02",
            observe=_overfull,
            hints=(
                "The limit is asked about when somebody is born. How else can a cgroup get a "
                "process?",
                "A process can be moved in from outside; and a limit can be set when many are in.",
                "All of them must last while the check looks, and none may be this notebook's own.",
            ),
            draw=drawn.number(2, 5),
        ),
    ),
)
