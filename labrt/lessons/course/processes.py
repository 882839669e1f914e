"""Lesson "processes": what the kernel knows of one (notebook 01, proc(5))."""

from __future__ import annotations

import os
from pathlib import Path

from labrt.lessons import drawn, needs, observe
from labrt.lessons.lesson import Check, Lesson, Prediction, Verdict

WORD = "LAB_WORD"
EXIT_CODE = 52  # field of /proc/PID/stat (proc_pid_stat(5)), counted from 1
WORDS = ("amber", "birch", "cedar", "delta", "ember", "fjord", "grove", "heath", "inlet", "jetty")


def _told(here: list[str], there: list[str]) -> str:
    """Judge processes-p1. The entries of /proc/PID of a plain process and of a container's."""
    if not there:
        return "c"
    return "b" if set(here) == set(there) else "a"


def _status(status: int) -> str:
    """Judge processes-p2. The exit status that the runtime gives."""
    return {9: "a", 137: "c"}.get(status, "b")


def _orphan(parent: int, before: int, alive: bool) -> str:
    """Judge processes-p3. The orphan's parent now and before, and whether it lives."""
    if not alive:
        return "a"
    return "c" if parent == before else "b"


def _worded(wanted: str) -> Verdict:
    """processes-01: a descendant of this notebook with the word in its environment."""
    found = {
        pid: word
        for pid in observe.descendants(os.getpid())
        if (word := observe.environment(pid).get(WORD))
    }
    told = ", ".join(f"{word} (pid {pid})" for pid, word in found.items())
    return Verdict(
        passed=wanted in found.values(),
        expected=f"a running process of this notebook with {WORD}={wanted} in its environment",
        saw=f"{WORD}: {told}" if found else f"no process of this notebook with {WORD}",
    )


def _zombie(wanted: str) -> Verdict:
    """processes-02: a child of this notebook that has ended with that status and isn't reaped."""
    found = {
        pid: int(fields[EXIT_CODE - 1]) >> 8
        for pid in observe.descendants(os.getpid())
        if (fields := _stat(pid)) and fields[2] == "Z"
    }
    told = ", ".join(f"pid {pid} with status {status}" for pid, status in found.items())
    return Verdict(
        passed=int(wanted) in found.values(),
        expected=f"a zombie below this notebook, ended with exit status {wanted}",
        saw=f"zombies: {told}" if found else "no zombie below this notebook",
    )


def _stat(pid: int) -> list[str]:
    """Return the fields of /proc/PID/stat; [] if it is gone. The name may hold blanks."""
    try:
        head, _, rest = Path(f"/proc/{pid}/stat").read_text(errors="replace").rpartition(")")
    except OSError:
        return []
    number, _, name = head.partition(" (")
    return [number, name, *rest.split()]


LESSON = Lesson(
    key="processes",
    number=1,
    title="what the kernel knows of a process",
    claims=("C07",),
    needs=(needs.CONTAINER, needs.VM),
    predictions=(
        Prediction(
            id="processes-p1",
            choices={
                "a": "a file more, which names the container",
                "b": "the same files, with other values in some",
                "c": "no folder: the process isn't one of the host's",
            },
            judge=_told,
        ),
        Prediction(
            id="processes-p2",
            choices={"a": "9", "b": "0 or 1", "c": "137"},
            judge=_status,
        ),
        Prediction(
            id="processes-p3",
            choices={
                "a": "it ends with its parent",
                "b": "it goes on, and another process is its parent from now on",
                "c": "it goes on, and keeps the number of its dead parent",
            },
            judge=_orphan,
        ),
    ),
    checks=(
        Check(
            id="processes-01",
            observe=_worded,
            hints=(
                "A program gets its environment from whoever starts it. Who does that here?",
                "subprocess.Popen takes the whole environment as an argument; os.environ is the "
                "notebook's own.",
                "The check looks at processes that still run: does your program last?",
            ),
            draw=drawn.name(WORDS),
        ),
        Check(
            id="processes-02",
            observe=_zombie,
            hints=(
                "A process that has ended stays in the list until its parent asks how it ended.",
                "Start a program that ends at once with that status, and don't ask.",
                "subprocess.run asks. What starts a program and returns without waiting?",
            ),
            draw=drawn.number(50, 70),
        ),
    ),
)
