"""The claim that cgroups limit CPU and memory (experiment "limits": more is asked for than may be
had)."""

from __future__ import annotations

from collections import Counter

from bench import statistics, tables, units
from bench.claims.evidence import Evidence, counted
from bench.claims.verdict import Finding, Verdict, verdict

EXPERIMENT = "limits"
SLACK = 1.05  # a measured share may exceed its limit by so much: clock ticks, a period cut in two
NEAR = 0.9  # from here a limit counts as reached


def limited(evidence: Evidence) -> Verdict:
    """C20. The VM stands beside it, limited by what it is made of."""
    mine, beside = (
        [finding(evidence, kind) for finding in (_memory, _cpu)] for kind in ("container", "vm")
    )
    return verdict(mine, beside)


def _memory(evidence: Evidence, kind: str) -> Finding | None:
    rows = evidence.number(EXPERIMENT, kind, "memory", "taken")
    good = [row for row in rows if row.value is not None]
    if not good:
        return None
    limit = float(good[0].conditions["limit"])
    ends = Counter(str(row.conditions["outcome"]) for row in good)
    most = max(row.value or 0 for row in good)
    told = ", ".join(f"{end} {number} of {len(good)} times" for end, number in ends.items())
    swap = any(row.conditions.get("swap") for row in good)
    return Finding(
        "had" not in ends and most <= limit,
        f"The {evidence.title(EXPERIMENT, kind)} asked for more than its "
        f"{units.text(limit, 'B')} of memory and was {told}, with at most {units.text(most, 'B')}.",
        {f"{kind} most memory [B]": most, f"{kind} memory limit [B]": limit},
        counted(good),
        ("The host has swap, which memory.max doesn't count.",) if swap else (),
    )


def _cpu(evidence: Evidence, kind: str) -> Finding | None:
    rows = evidence.number(EXPERIMENT, kind, "cpu", "share")
    good = statistics.ok(rows)
    if not good:
        return None
    first = rows[0].conditions
    limit, most = float(first["limit"]), max(good)
    held = statistics.ok(evidence.number(EXPERIMENT, kind, "cpu", "throttled"))
    sentence = (
        f"The {evidence.title(EXPERIMENT, kind)} took {tables.middle(statistics.summarise(rows))} "
        f"CPUs (at most {units.digits(most)}) with {first['demand']} programs computing, of "
        f"{units.digits(limit)} that it may have and {first['host_cpus']} that the host has"
    )
    if held:
        sentence += f"; it was held back in {100 * max(held):.0f} % of the periods at most"
    if most > SLACK * limit:
        holds: bool | None = False
    else:
        holds = True if most >= NEAR * limit or any(held) else None
    if holds is None:
        idle = 100 * max(float(row.conditions["host_idle"]) for row in rows)
        sentence += (
            ": it never came near its limit; the host's CPUs were idle for at most "
            f"{idle:.0f} % of the time"
        )
    elif first["host_cpus"] <= limit:
        holds, sentence = None, f"{sentence}: the host has no more to give"
    figures = {f"{kind} CPUs": most, f"{kind} CPU limit": limit}
    return Finding(holds, f"{sentence}.", figures, counted(rows))


JUDGES = {"C20": limited}
