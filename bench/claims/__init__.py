"""What a run's rows say of each claim of the ledger. Nothing but observations is read.

To add a judge, write a function `Evidence -> Verdict` and name it in its file's JUDGES.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from bench.claims import cost, images, isolation, limits, overhead, speed
from bench.claims.evidence import Evidence
from bench.claims.ledger import CLAIMS, Claim
from bench.claims.verdict import OPEN, UNMEASURED, Verdict
from bench.observations import Observation

JUDGES: dict[str, Callable[[Evidence], Verdict]] = {
    claim: judge
    for theme in (images, isolation, speed, cost, overhead, limits)
    for claim, judge in theme.JUDGES.items()
}


@dataclass(frozen=True)
class Judged:
    """A claim and what the rows say of it."""

    claim: Claim
    verdict: Verdict

    @property
    def measured(self) -> bool:
        return self.verdict.verdict != UNMEASURED


def judge(rows: Sequence[Observation]) -> list[Judged]:
    """Judge every claim, in the ledger's order."""
    evidence = Evidence(rows)
    return [Judged(claim, _judged(claim, evidence)) for claim in CLAIMS]


def _judged(claim: Claim, evidence: Evidence) -> Verdict:
    if claim.id not in JUDGES:
        return Verdict(UNMEASURED)
    try:
        found = JUDGES[claim.id](evidence)
    except (LookupError, TypeError, ValueError) as error:
        why = f"The rows lack what this judge needs ({error}); they may be of another version."
        return Verdict(OPEN, (why,))
    if found.verdict == UNMEASURED:
        return found
    return replace(
        found,
        cannot_tell=tuple(
            filter(None, [claim.cannot_tell, _lacking(claim, evidence), evidence.alone])
        ),
    )


def _lacking(claim: Claim, evidence: Evidence) -> str:
    """Say which experiments could have told more."""
    names = [name for name in claim.experiments if not evidence.of(name)]
    return f"Not measured in this run: {', '.join(names)}." if names else ""


def experiments() -> list[str]:
    """Return the experiments that claims can be judged by, in the order of the ledger."""
    judged = (claim for claim in CLAIMS if claim.id in JUDGES)
    return list(dict.fromkeys(name for claim in judged for name in claim.experiments))
