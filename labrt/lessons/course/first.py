"""Lesson "first": a container in ten minutes (notebook 00)."""

from __future__ import annotations

from labrt.lessons import drawn, needs, observe
from labrt.lessons.lesson import Check, Lesson, Prediction, Verdict


def _speed(milliseconds: float) -> str:
    """Judge first-p1. `milliseconds`: from the call to the program."""
    if milliseconds < 200:
        return "c"
    return "b" if milliseconds < 5000 else "a"


def _visibility(pids: list[int]) -> str:
    """Judge first-p2. `pids`: the program's, the host's first; [] if the host doesn't see it."""
    if not pids:
        return "a"
    return "b" if len(set(pids)) == 1 else "c"


def _sleep(seconds: str) -> Verdict:
    """first-01: a living container whose first process is `sleep SECONDS`."""
    wanted = ["sleep", seconds]
    running = {pid: observe.command(pid) for pid in observe.containers()}
    return Verdict(
        passed=wanted in running.values(),
        expected=f"a running container whose first process is: sleep {seconds}",
        saw=_spelled(running),
    )


def _spelled(running: dict[int, list[str]]) -> str:
    if not running:
        return "no running container"
    parts = [f"pid {pid} runs: {' '.join(command)}" for pid, command in running.items()]
    return "; ".join(parts)


LESSON = Lesson(
    key="first",
    number=0,
    title="a container in ten minutes",
    claims=("C06", "C07", "C12"),
    needs=(needs.CONTAINER, needs.PS, needs.LIMITS, needs.VM),
    predictions=(
        Prediction(
            id="first-p1",
            choices={
                "a": "5 seconds or more",
                "b": "between a fifth of a second and 5 seconds",
                "c": "less than a fifth of a second",
            },
            judge=_speed,
        ),
        Prediction(
            id="first-p2",
            choices={
                "a": "the host doesn't see it",
                "b": "the host sees it, under the same pid",
                "c": "the host sees it, under another pid",
            },
            judge=_visibility,
        ),
    ),
    checks=(
        Check(
            id="first-01",
            observe=_sleep,
            hints=(
                "Look at how the container in the variable box was started, in section 3.",
                "The list holds the program and then its arguments, each a string of its own.",
                "A container ends when nothing refers to it any more: keep it in a variable.",
            ),
            draw=drawn.number(1000, 9000),
        ),
    ),
)
