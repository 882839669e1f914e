"""What is said of a claim: a verdict, the sentences and figures that it rests on, and how many
samples. A verdict is put together from findings; each answers one question about the rows.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

HOLDS = "holds"
LIMITED = "holds with a limit"
FAILS = "doesn't hold here"
OPEN = "not decided"  # measured, but with too few or too unlike samples
UNMEASURED = "not measured"


@dataclass(frozen=True)
class Finding:
    """One answer from rows.

    Attributes:
        holds: None if the rows can't tell.
        sentence: what was found, with its figures.
        figures: the same for programs.
        n: samples behind it, by subject.
        limits: under what it is true only, as the rows say ("VMs under TCG …").
    """

    holds: bool | None
    sentence: str
    figures: Mapping[str, Any] = field(default_factory=dict)
    n: Mapping[str, int] = field(default_factory=dict)
    limits: tuple[str, ...] = ()


@dataclass(frozen=True)
class Verdict:
    """Attributes:
    verdict: HOLDS, LIMITED, FAILS, OPEN or UNMEASURED.
    limits: what makes it LIMITED, in words.
    n: samples behind it, the least of its findings, by subject.
    cannot_tell: what it leaves open.
    """

    verdict: str
    sentences: tuple[str, ...] = ()
    limits: tuple[str, ...] = ()
    figures: Mapping[str, Any] = field(default_factory=dict)
    n: Mapping[str, int] = field(default_factory=dict)
    cannot_tell: tuple[str, ...] = ()


def verdict(findings: Iterable[Finding | None], beside: Iterable[Finding | None] = ()) -> Verdict:
    """Put findings together; None is what wasn't measured.

    All hold: the claim holds, with a limit where one of them has one. Some don't, or can't be told:
    those are its limits. None holds: it doesn't hold here, or is open.

    Args:
        beside: what is told with it and decides nothing.
    """
    found = [each for each in findings if each is not None]
    if not found:
        return Verdict(UNMEASURED)
    also = [each for each in beside if each is not None]
    holding = [each for each in found if each.holds]
    limits = tuple(dict.fromkeys(limit for each in holding for limit in each.limits))
    if holding:
        limits += tuple(f"Not so: {each.sentence}" for each in found if each.holds is False)
        limits += tuple(f"Not decided: {each.sentence}" for each in found if each.holds is None)
        word = LIMITED if limits else HOLDS
    else:
        word = FAILS if any(each.holds is False for each in found) else OPEN
    return Verdict(
        word,
        tuple(each.sentence for each in [*(holding or found), *also]),
        limits,
        {key: value for each in [*found, *also] for key, value in each.figures.items()},
        _least([*found, *also]),
    )


def _least(found: list[Finding]) -> dict[str, int]:
    """The fewest samples that any finding rests on, by subject."""
    least: dict[str, int] = {}
    for each in found:
        for subject, n in each.n.items():
            least[subject] = min(n, least.get(subject, n))
    return least
