"""Claims about starting, stopping and scaling (experiments "startup", "stop", "density",
"scale-out")."""

from __future__ import annotations

from bench import statistics, units
from bench.claims.evidence import Evidence, apart, counted, less
from bench.claims.verdict import Finding, Verdict, verdict
from bench.observations import Observation

# Rules of a ramp that say nothing about the host: it could have taken more.
NO_BOUND = ("count", "time")
ONCE = "It was tried only once with each, so how much a second try would differ isn't known."


def quick(evidence: Evidence) -> Verdict:
    """C23."""
    return verdict(
        [
            less(evidence, "startup", "T0-T3", "time", "is ready after"),
            less(evidence, "stop", "stop", "time", "is gone after"),
            scaled(evidence, "all ready", "became ready"),
            scaled(evidence, "all gone", "were gone"),
        ]
    )


def scales_less(evidence: Evidence) -> Verdict:
    """C10."""
    return verdict([more_at_once(evidence), scaled(evidence, "all ready", "became ready")])


def scaled(evidence: Evidence, phase: str, verb: str) -> Finding | None:
    """How many per second, of those that were asked for at once."""
    both = [evidence.number("scale-out", kind, phase, "rate") for kind in KINDS]
    if not all(both):
        return None
    titles = [evidence.title("scale-out", kind) for kind in KINDS]
    found = [statistics.summarise(rows) for rows in both]
    said = ", ".join(
        f"{units.digits(each.median or 0)} a second of the {title} "
        f"({rows[0].conditions.get('instances')} in all)"
        for each, title, rows in zip(found, titles, both, strict=True)
    )
    few = (ONCE,) if min(each.n for each in found) < 2 else ()
    holds = apart(both[1], both[0])
    return Finding(
        holds,
        f"Asked at once, so many {verb}: {said}.",
        {f"{kind} {phase} [1/s]": each.median for kind, each in zip(KINDS, found, strict=True)},
        counted([*both[0], *both[1]]),
        (*evidence.limits("scale-out"), *few) if holds else (),
    )


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
    limits = [*evidence.limits("density"), *_unbound([a, b], titles), ONCE]
    holds = apart(both[1], both[0])
    if holds is None:
        said += "; once each, that isn't far enough apart to tell"
    return Finding(holds, f"{said}.", figures, n, tuple(limits) if holds else ())


KINDS = ("container", "vm")


def _reached(row: Observation, title: str) -> str:
    if row.value is None:
        return f"the {title}'s ramp failed ({row.reason})"
    number = units.digits(row.value)
    return f"{number} at once of the {title}, until a rule said stop: {row.conditions['rule_text']}"


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
