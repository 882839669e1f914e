"""What one more instance costs in memory, and so in money (experiments "memory", "density")."""

from __future__ import annotations

from bench import tables, units
from bench.claims.evidence import Evidence, compared, counted, ratio_text
from bench.claims.speed import more_at_once
from bench.claims.verdict import Finding, Verdict, verdict
from bench.statistics import Slope

GIB = 1024**3
PRICE = 1.0  # stated, not measured: of one GiB of memory for as long as the instance runs
KINDS = ("container", "vm")


def cheaper(evidence: Evidence) -> Verdict:
    """C25."""
    return verdict([by_slope(evidence), by_cgroup(evidence), more_at_once(evidence)])


def by_slope(evidence: Evidence) -> Finding | None:
    """What the host's MemAvailable falls by with each instance: instances per GiB, and a price."""
    slopes = [_slope(evidence, kind) for kind in KINDS]
    if None in slopes:
        return None
    found = [slope for slope in slopes if slope is not None]
    a, b = found
    titles = [evidence.title("memory", kind) for kind in KINDS]
    said = "; ".join(
        f"one more {title} takes {tables.slope_text(slope)} of the host's memory, "
        f"{_per_gib(slope)} in a GiB"
        for title, slope in zip(titles, found, strict=True)
    )
    price = ", ".join(
        f"{units.digits(PRICE * max(slope.per_instance, 0) / GIB)} for a {title}"
        for title, slope in zip(titles, found, strict=True)
    )
    figures = {
        f"{kind} bytes per instance": slope.per_instance
        for kind, slope in zip(KINDS, found, strict=True)
    }
    apart = a.high < b.low
    holds = True if apart else False if a.low > b.high else None
    return Finding(
        holds,
        f"{said[0].upper()}{said[1:]}. At a price of {PRICE:g} for a GiB: {price}.",
        figures,
        {
            str(evidence.subject("memory", kind)): slope.n
            for kind, slope in zip(KINDS, found, strict=True)
        },
        evidence.limits("memory") if holds else (),
    )


def _slope(evidence: Evidence, kind: str) -> Slope | None:
    name = evidence.subject("memory", kind)
    line = tables.memory_slope(evidence.of("memory"), name) if name else None
    return None if line is None or line.high < 0 else line  # none takes less than nothing


def _per_gib(slope: Slope) -> str:
    """How many fit: at least so many where the interval begins below zero."""
    if slope.high <= 0:
        return "too little to count"
    if slope.low <= 0:
        return f"at least {GIB / slope.high:.0f}"
    return f"{GIB / slope.per_instance:.0f}"


def by_cgroup(evidence: Evidence) -> Finding | None:
    """What the instance's cgroup is charged with."""
    a, b = (evidence.number("memory", kind, "idle", "cgroup_used") for kind in KINDS)
    if not a or not b:
        return None
    found = compared(a, b)
    titles = [evidence.title("memory", kind) for kind in KINDS]
    if isinstance(found, str):
        return Finding(None, f"What their cgroups are charged with: {found}.", n=counted([*a, *b]))
    told = found.ratio, found.low, found.high, found.p
    return Finding(
        (found.ratio < 1) if found.different else None,
        f"The {titles[0]}'s cgroup is charged with {ratio_text(told)} as the {titles[1]}'s.",
        {"cgroup_used container / vm": found.ratio},
        counted([*a, *b]),
        evidence.limits("memory") if found.different and found.ratio < 1 else (),
    )


JUDGES = {"C25": cheaper}
