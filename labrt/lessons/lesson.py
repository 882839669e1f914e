"""What a lesson is made of. Each lesson is declared in one file of `course/`, named by its key.

An id begins with its lesson's key: "uts-01" is a check, "uts-p1" a prediction of the lesson "uts".
Notebook cells name these ids; where a cell stands doesn't matter.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib import import_module
from pkgutil import iter_modules
from typing import TypeVar

from labrt.errors import LabError
from labrt.lessons import course
from labrt.lessons.needs import Need


@dataclass(frozen=True)
class Prediction:
    """A question with fixed answers, asked before anything runs.

    Attributes:
        id: "uts-p1".
        choices: letter → answer, word for word as the notebook has it.
        judge: from what was observed (keyword arguments, see the lesson) to the letter it means.
    """

    id: str
    choices: dict[str, str]
    judge: Callable[..., str]


@dataclass(frozen=True)
class Verdict:
    """What a check found: expected and seen, each in one line."""

    passed: bool
    expected: str
    saw: str


@dataclass(frozen=True)
class Check:
    """An exercise's check.

    Attributes:
        id: "uts-01".
        observe: looks at the kernel; given the value drawn for the student.
        hints: what to think of next, one for each failed attempt, the last one for all that
            follow. None holds the answer.
        draw: from a number that is this student's to the value the exercise asks for.
    """

    id: str
    observe: Callable[[str], Verdict]
    hints: tuple[str, ...]
    draw: Callable[[int], str]


_Item = TypeVar("_Item", Prediction, Check)


@dataclass(frozen=True)
class Lesson:
    """One notebook's lesson.

    Attributes:
        number: of its notebook, which is its place in the course.
        claims: the claims it lets a student show ("C17"; docs/claims.md).
        root_only: which of its exercises only root can solve, in words; "" if every user can
            solve all of them.
    """

    key: str
    number: int
    title: str
    needs: tuple[Need, ...]
    predictions: tuple[Prediction, ...]
    checks: tuple[Check, ...]
    claims: tuple[str, ...] = ()
    root_only: str = ""


def keys() -> tuple[str, ...]:
    """Return the keys of all lessons, in the order of the alphabet."""
    return tuple(sorted(module.name for module in iter_modules(course.__path__)))


def lessons() -> list[Lesson]:
    """Return all lessons, in the order of the course."""
    return sorted(map(lesson, keys()), key=lambda found: found.number)


def lesson(key: str) -> Lesson:
    """Return the lesson declared in course/KEY.py.

    Raises:
        LabError: there is none.
    """
    if key not in keys():
        raise _unknown("lesson", key, keys())
    found = import_module(f"labrt.lessons.course.{key}").LESSON
    assert isinstance(found, Lesson)
    return found


def prediction(identity: str) -> Prediction:
    """Return the prediction of that id.

    Raises:
        LabError: there is none.
    """
    return _found("prediction", identity, lesson(_key(identity)).predictions)


def check_of(identity: str) -> Check:
    """Return the check of that id.

    Raises:
        LabError: there is none.
    """
    return _found("check", identity, lesson(_key(identity)).checks)


def _found(kind: str, identity: str, items: Sequence[_Item]) -> _Item:
    known = {item.id: item for item in items}
    if identity not in known:
        raise _unknown(kind, identity, tuple(known))
    return known[identity]


def _key(identity: str) -> str:
    return identity.rpartition("-")[0]


def _unknown(kind: str, name: str, known: tuple[str, ...]) -> LabError:
    return LabError(
        f"find the {kind} {name!r}", "there is none", remedy=f"write one of {', '.join(known)}"
    )
