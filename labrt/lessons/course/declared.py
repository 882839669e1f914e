"""Lesson "declared": what is wanted is written down, and made true (notebook 24,
labrt/applying.py)."""

from __future__ import annotations

from pathlib import Path

from labrt import handle
from labrt.lessons import checks, declared, drawn, ledger, needs, observe
from labrt.lessons.lesson import Check, Lesson, Prediction, Verdict

VARIABLE = "PLACE"
PLACES = ("attic", "bakery", "cellar", "dairy", "forge")
OTHERS = ("granary", "kitchen", "library", "office", "stable")

Processes = dict[str, str]  # as declared.processes has them


def _new(before: Processes, after: Processes) -> set[str]:
    """Return which containers have another process than before."""
    return {name for name, process in after.items() if before.get(name) != process}


def _again(before: Processes, after: Processes) -> str:
    """Judge declared-p1. The processes before and after the file was applied again."""
    if not _new(before, after):
        return "c"
    return "b" if len(after) > len(before) else "a"


def _which(before: Processes, after: Processes) -> str:
    """Judge declared-p2 and declared-p3. Both are about the container `back`."""
    return {0: "a", 1: "b"}.get(len(_new(before, after)), "c")


def _places() -> dict[Path, dict[int, str]]:
    """Return where the running containers of each file say that they are: host pid → PLACE."""
    found: dict[Path, dict[int, str]] = {}
    for each in handle.containers():
        if file := declared.file_of(each):
            pid = each.status.pid
            place = observe.environment(pid).get(VARIABLE, "")
            found.setdefault(file, {})[pid] = place
    return found


def _two(wanted: str) -> Verdict:
    """declared-01: two containers of one file, both with the drawn value in their environment."""
    found = _places()
    told = "; ".join(
        f"{file.name}: {', '.join(place or 'none' for place in places.values())}"
        for file, places in found.items()
    )
    return Verdict(
        passed=any([*places.values()].count(wanted) >= 2 for places in found.values()),
        expected=f"two running containers that one file declares, with {VARIABLE}={wanted}",
        saw=f"{VARIABLE} of those in {told}" if found else "no running container of a file",
    )


def _one_of_two(wanted: str) -> Verdict:
    """declared-02: one of the two has the new value and a process started after declared-01 had
    passed; the other has the old one, and its process was there by then."""
    first = checks.draw("declared-01")
    passes = [each["at"] for each in ledger.entries("declared-01") if each.get("passed")]
    seen = [
        {pid: place for pid, place in places.items() if place in (first, wanted)}
        for places in _places().values()
    ]
    times = [
        (
            [observe.start_time(pid) for pid, place in places.items() if place == first],
            [observe.start_time(pid) for pid, place in places.items() if place == wanted],
        )
        for places in seen
    ]
    last = passes[-1] if passes else 0.0
    told = "; ".join(
        f"{VARIABLE}={place}, pid {pid}, {_since(observe.start_time(pid), last)}"
        for places in seen
        for pid, place in places.items()
    )
    return Verdict(
        passed=any(
            old < passed < new
            for olds, news in times
            for old in olds
            for new in news
            for passed in passes
        ),
        expected=f"of one file, {VARIABLE}={first} in a process that was there when declared-01 "
        f"passed, and {VARIABLE}={wanted} in one started since",
        saw=(told or "no such container") if passes else "declared-01 hasn't passed yet",
    )


def _since(start: float, passed: float) -> str:
    return f"started {'since' if start > passed else 'before'}"


LESSON = Lesson(
    key="declared",
    number=24,
    title="containers declared",
    claims=("C11",),
    needs=(needs.CONTAINER, needs.LIMITS, needs.VM),
    predictions=(
        Prediction(
            id="declared-p1",
            choices={
                "a": "both containers are ended and started anew",
                "b": "two more are started: four run",
                "c": "nothing: the same two processes go on",
            },
            judge=_again,
        ),
        Prediction(
            id="declared-p2",
            choices={
                "a": "none: `back` gets it in the process that runs",
                "b": "that of `back` alone",
                "c": "those of both",
            },
            judge=_which,
        ),
        Prediction(
            id="declared-p3",
            choices={
                "a": "none: the file is the same as before",
                "b": "that of `back` alone",
                "c": "those of both",
            },
            judge=_which,
        ),
    ),
    checks=(
        Check(
            id="declared-01",
            observe=_two,
            hints=(
                "Section 3 declares two containers. What is a table of that file, and which of its "
                "keys sets a variable?",
                "Names are unique among all your containers, whichever file they are of.",
                "A file changes nothing by itself: what makes it true?",
            ),
            draw=drawn.name(PLACES),
        ),
        Check(
            id="declared-02",
            observe=_one_of_two,
            hints=(
                "What in your file must differ from what it was, and what must not?",
                "The same file, or other names? A container that isn't declared any more goes.",
                "If both were made anew: make the file what it was, apply it, let declared-01 "
                "pass once more, and then change one value only.",
            ),
            draw=drawn.name(OTHERS),
        ),
    ),
)
