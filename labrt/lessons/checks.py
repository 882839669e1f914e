"""Checks: whether an exercise is solved, as the kernel shows it.

A check is keyed by its id and observes the machine, so it doesn't matter how the student got there.
"""

from __future__ import annotations

import hashlib
import time

from labrt.lessons import ledger
from labrt.lessons.lesson import Check, Verdict, check_of
from labrt.lessons.shown import Shown, told

PATIENCE_SECONDS = 1.0  # a process just started needs a moment to become what it shall be


def draw(identity: str) -> str:
    """Return the value that this student's exercise asks for: the same one every time.

    Raises:
        LabError: no such check, or the ledger can't be written.
    """
    item = check_of(identity)
    digest = hashlib.sha256(f"{ledger.seed()} {identity}".encode()).digest()
    return item.draw(int.from_bytes(digest[:8], "big"))


def check(identity: str) -> Shown:
    """Look whether an exercise is solved; record and tell the result.

    Raises:
        LabError: no such check, or this host can't answer.
    """
    item = check_of(identity)
    verdict = _observed(item, draw(identity))
    ledger.record("check", identity, passed=verdict.passed)
    facts = [("expected", verdict.expected), ("saw", verdict.saw)]
    if verdict.passed:
        return told(f"Check {identity}: passed", facts)
    attempt = _failed(identity)
    facts.append(("hint", _hint(item, attempt)))
    return told(f"Check {identity}: not yet (attempt {attempt})", facts)


def _observed(item: Check, drawn: str) -> Verdict:
    """Observe; what isn't there yet may be on its way, so look again before saying no."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while True:
        verdict = item.observe(drawn)
        if verdict.passed or time.monotonic() > deadline:
            return verdict
        time.sleep(0.05)


def _failed(identity: str) -> int:
    """Return how many attempts have failed since the last one that passed."""
    count = 0
    for entry in ledger.entries(identity):
        count = 0 if entry["passed"] else count + 1
    return count


def _hint(item: Check, attempt: int) -> str:
    return item.hints[min(attempt, len(item.hints)) - 1]
