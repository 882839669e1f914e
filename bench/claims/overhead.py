"""The claim of low overhead: each part of each work against the plain process (experiments "cpu",
"bandwidth", "latency", "disk", "network")."""

from __future__ import annotations

from bench import statistics, units
from bench.claims.evidence import LOW, TCG, Evidence, compared, counted
from bench.claims.verdict import Finding, Verdict, verdict
from bench.observations import Observation
from bench.statistics import Comparison

WORKS = ("cpu", "bandwidth", "latency", "disk", "network")


def low_overhead(evidence: Evidence) -> Verdict:
    """C24."""
    return verdict([finding for work in WORKS for finding in _of_work(evidence, work)])


def _of_work(evidence: Evidence, work: str) -> list[Finding]:
    parts = dict.fromkeys((row.phase, row.metric) for row in evidence.of(work))
    found = (_part(evidence, work, *part) for part in parts)
    return [finding for finding in found if finding is not None]


def _part(evidence: Evidence, work: str, phase: str, metric: str) -> Finding | None:
    """Is a container's cost of one part at most LOW times the plain process's?"""
    base, mine, guest = (
        evidence.number(work, kind, phase, metric) for kind in ("process", "container", "vm")
    )
    if not base or not mine:
        return None
    name = f"{work}, {phase}"
    n = counted([*base, *mine, *guest])
    found = cost(mine, base)
    if isinstance(found, str):
        return Finding(None, f"{name}: {found}.", n=n)
    times, low, high = found
    few = min(n[rows[0].subject] for rows in (base, mine)) < statistics.ENOUGH
    holds = None if few else True if high <= LOW else False if low > LOW else None
    said = (
        f"{name}: the {evidence.title(work, 'container')} takes {_times(found)} the plain "
        f"process's, {'too few samples to tell' if few else _about(holds)}"
    )
    figures = {f"{work} {phase} container / process": times}
    if guest and not isinstance(there := cost(guest, base), str):
        said += f"; the {evidence.title(work, 'vm')} takes {_times(there)}"
        figures[f"{work} {phase} vm / process"] = there[0]
    tcg = any(row.conditions.get("accelerator") == "tcg" for row in guest)
    return Finding(holds, f"{said}.", figures, n, (TCG,) if tcg and holds else ())


def cost(a: list[Observation], b: list[Observation]) -> tuple[float, float, float] | str:
    """Return how many times b's cost a's is, with its interval; of a rate, less is dearer."""
    found = compared(a, b)
    if isinstance(found, str):
        return found
    return _dearer(found, rate=a[0].unit.endswith("/s"))


def _dearer(found: Comparison, rate: bool) -> tuple[float, float, float]:
    if rate:
        return 1 / found.ratio, 1 / found.high, 1 / found.low
    return found.ratio, found.low, found.high


def _times(found: tuple[float, float, float]) -> str:
    ratio, low, high = map(units.digits, found)
    return f"{ratio} times ({low} – {high})"


def _about(holds: bool | None) -> str:
    percent = f"{100 * (LOW - 1):.0f} %"
    if holds is None:
        return f"and whether that is more than {percent} above it, these samples can't tell"
    return f"at most {percent} above it" if holds else f"more than {percent} above it"


JUDGES = {"C24": low_overhead}
