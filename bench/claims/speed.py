"""Claims about starting, stopping, scaling (experiments "startup", "stop", "density")."""

from __future__ import annotations

from bench import units
from bench.claims.evidence import Evidence, less
from bench.claims.verdict import Finding, Verdict, verdict
from bench.observations import Observation

# Rules of a ramp that say nothing about the host: it could have taken more.
NO_BOUND = ("count", "time")


def quick(evidence: Evidence) -> Verdict:
    """C23."""
    return verdict(
        [
            less(evidence, "startup", "T0-T3", "time", "is ready after"),
            less(evidence, "stop", "stop", "time", "is gone after"),
            scaled(evidence),
        ]
    )


def scales_less(evidence: Evidence) -> Verdict:
    """C10."""
    return verdict([more_at_once(evidence), scaled(evidence)])


def scaled(evidence: Evidence) -> Finding | None:
    """How long until the last of several instances that were asked for at once is ready."""
    return less(evidence, "scale-out", "all ready", "time", "has all of several ready after")


def more_at_once(evidence: Evidence) -> Finding | None:
    """How many ran at once when a declared rule ended the ramp."""
    both = [evidence.number("density", kind, "reached", "instances") for kind in KINDS]
    if not all(both):
        return None
    a, b = (rows[-1] for rows in both)
    titles = [evidence.title("density", kind) for kind in KINDS]
    said = "; ".join(_reached(row, title) for row, title in zip((a, b), titles, strict=True))
    figures = {f"{row.subject} instances": row.value for row in (a, b)}
    n = {row.subject: 1 for row in (a, b)}
    if a.value is None or b.value is None:
        return Finding(None, f"{said}.", figures, n)
    limits = [*evidence.limits("density"), *_unbound([a, b], titles)]
    if a.value == b.value:
        return Finding(None, f"{said}: the same number.", figures, n)
    return Finding(a.value > b.value, f"{said}.", figures, n, tuple(limits))


KINDS = ("container", "vm")


def _reached(row: Observation, title: str) -> str:
    if row.value is None:
        return f"the {title}'s ramp failed ({row.reason})"
    number = units.digits(row.value)
    return f"{number} of the {title} ran at once, then: {row.conditions['rule_text']}"


def _unbound(rows: list[Observation], titles: list[str]) -> list[str]:
    free = [
        title
        for row, title in zip(rows, titles, strict=True)
        if row.conditions.get("rule") in NO_BOUND
    ]
    if not free:
        return []
    return [f"The host had room for more of the {' and the '.join(free)} when its ramp ended."]


JUDGES = {"C10": scales_less, "C23": quick}
