"""Predictions: said before anything runs, compared with what then was seen.

The one that counts is the last one made before the outcome was first shown. Whoever predicts later
is told so.
"""

from __future__ import annotations

from typing import Any

from labrt.lessons import ledger
from labrt.lessons.lesson import Prediction, prediction
from labrt.lessons.shown import Shown, paragraph, told


def predict(identity: str, choice: str = "") -> Shown:
    """Record a prediction.

    Args:
        identity: the prediction's id, "uts-p1".
        choice: the letter of one of its answers.

    Returns:
        What was recorded; or, where `choice` is no such letter, what to write.

    Raises:
        LabError: no such prediction, or the ledger can't be written.
    """
    item = prediction(identity)
    letter = choice.strip().lower()
    if letter not in item.choices:
        return _ask(item, letter)
    late = _has_outcome(identity)
    ledger.record("prediction", identity, choice=letter)
    facts = [("you predict", _spelled(item, letter))]
    if late:
        facts.append(("but", "its outcome has been shown before, so this one is marked as late"))
    return told(f"Prediction {identity}: recorded", facts)


def outcome(identity: str, **observed: Any) -> Shown:
    """State what was observed, and whether it was predicted.

    Args:
        identity: the prediction's id.
        observed: what the lesson's judge takes (course/*.py).

    Raises:
        LabError: no such prediction, or the ledger can't be written.
    """
    item = prediction(identity)
    seen = item.judge(**observed)
    said, late = _counted(identity)
    ledger.record("outcome", identity, seen=seen, predicted=None if late else said)
    if said is None:
        title = f"Prediction {identity}: none was recorded"
        return told(title, [("seen", _spelled(item, seen))])
    title = f"Prediction {identity}: {'match' if said == seen else 'mismatch'}"
    after = " (said after the outcome had been shown)" if late else ""
    return told(
        title, [("predicted", _spelled(item, said) + after), ("seen", _spelled(item, seen))]
    )


def _ask(item: Prediction, letter: str) -> Shown:
    wrong = f"There is no answer {letter!r}. " if letter else ""
    letters = ", ".join(item.choices)
    return paragraph(
        f"Prediction {item.id}: not recorded. {wrong}Write one of {letters} between the last "
        "quotes and run this cell again."
    )


def _has_outcome(identity: str) -> bool:
    return any(entry["kind"] == "outcome" for entry in ledger.entries(identity))


def _counted(identity: str) -> tuple[str | None, bool]:
    """Return the letter that counts (None: nothing was said) and whether it came too late."""
    before: str | None = None
    after: str | None = None
    shown = False
    for entry in ledger.entries(identity):
        if entry["kind"] == "outcome":
            shown = True
        elif shown:
            after = entry["choice"]
        else:
            before = entry["choice"]
    return (before, False) if before else (after, after is not None)


def _spelled(item: Prediction, letter: str) -> str:
    return f"{letter}, {item.choices[letter]}"
