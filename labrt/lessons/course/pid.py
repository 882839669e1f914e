"""Lesson "pid": process numbers of its own (notebook 04, pid_namespaces(7))."""

from __future__ import annotations

from labrt.lessons import drawn, needs, observe
from labrt.lessons.lesson import Check, Lesson, Prediction, Verdict


def _seen(lines: int, host: int) -> str:
    """Judge pid-p1. How many processes `ps` lists in the container, and how many the host has."""
    if lines >= host:
        return "a"
    return "b" if lines > 3 else "c"


def _killed_inside(still_running: bool, refused: bool) -> str:
    """Judge pid-p2. After the container's own `kill -9 1`."""
    if not still_running:
        return "a"
    return "c" if refused else "b"


def _killed_outside(left: int) -> str:
    """Judge pid-p3. How many of the container's three processes the host finds afterwards."""
    return {3: "a", 2: "b"}.get(left, "c")


def _numbered(wanted: str) -> Verdict:
    """pid-01: a container in which `sleep` has the drawn number."""
    found = {
        pid: numbers[-1]
        for first in observe.containers()
        for pid in [first, *observe.descendants(first)]
        if observe.name(pid) == "sleep" and len(numbers := observe.pids(pid)) > 1
    }
    told = ", ".join(f"{number} (host: {pid})" for pid, number in found.items())
    return Verdict(
        passed=int(wanted) in found.values(),
        expected=f"a container in which a process called sleep has the number {wanted}",
        saw=f"sleep with the number {told}" if found else "no container with a process sleep",
    )


def _by_hand(wanted: str) -> Verdict:
    """pid-02: a process 1 that labrt didn't start, sleeping for the drawn number of seconds."""
    first = [pid for pid in observe.strangers("pid") if observe.pids(pid)[-1:] == [1]]
    found = {pid: observe.command(pid) for pid in first}
    told = "; ".join(f"{' '.join(command)} (host: {pid})" for pid, command in found.items())
    return Verdict(
        passed=["sleep", wanted] in [command[-2:] for command in found.values()],
        expected=f"sleep {wanted} as process 1 of a pid namespace that labrt didn't make",
        saw=f"as process 1 elsewhere: {told}" if found else "no other pid namespace",
    )


LESSON = Lesson(
    key="pid",
    number=4,
    title="process numbers of its own",
    claims=("C14",),
    needs=(needs.CONTAINER, needs.COMMANDS, needs.PS, needs.VM),
    predictions=(
        Prediction(
            id="pid-p1",
            choices={
                "a": "all processes of the host",
                "b": "the kernel's own processes and the container's",
                "c": "the container's alone",
            },
            judge=_seen,
        ),
        Prediction(
            id="pid-p2",
            choices={
                "a": "the container ends",
                "b": "nothing happens, and kill says nothing",
                "c": "nothing happens, and kill says that it isn't permitted",
            },
            judge=_killed_inside,
        ),
        Prediction(
            id="pid-p3",
            choices={
                "a": "nothing: the host can't reach into the container",
                "b": "that process ends, the two others go on",
                "c": "all three end",
            },
            judge=_killed_outside,
        ),
    ),
    checks=(
        Check(
            id="pid-01",
            observe=_numbered,
            hints=(
                "Run `ps` in a container that starts a few programs: in which order do the numbers "
                "come?",
                "Every process that is started takes the next number, even one that ends at once.",
                "A shell's loop can use numbers up: how many are taken before its turn comes?",
            ),
            draw=drawn.number(100, 900),
        ),
        Check(
            id="pid-02",
            observe=_by_hand,
            hints=(
                "The cell above made such a namespace; it was gone once its program had ended.",
                "The program that unshare starts is process 1 only if unshare forks first.",
                "Don't wait for the program: subprocess.Popen starts it and returns at once.",
            ),
            draw=drawn.number(1000, 9000),
        ),
    ),
)
