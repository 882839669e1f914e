"""The one curve of a fleet: what all its hosts did of one trial, taken together.

Density and scale-out are begun on all hosts at the same moment, and each row says how long after it
something happened on its host. Put in order, that is what the fleet as a whole did: the n-th
instance anywhere, and what all hosts together have left of memory. These rows are made to be shown
and stand apart from the hosts' own, under "fleet of n"; nothing else is ever taken together over
hosts that aren't alike.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from bench import statistics
from bench.observations import Observation

Rows = Sequence[Observation]
Hosts = Mapping[str, Rows]  # one trial's rows, by worker

FLEET = "fleet of "
OF_ONE = ("worker", "place", "late", "asked")  # conditions that are one host's


def of_fleets(rows: Rows) -> list[Observation]:
    """Return the rows of each trial that more than one host took part in, as the fleet's."""
    trials: dict[str, list[Observation]] = {}
    for row in rows:
        if row.conditions.get("fleet", 1) > 1 and row.value is not None:
            trials.setdefault(_trial(row), []).append(row)
    return [row for trial in trials.values() for row in _taken_together(trial)]


def is_fleet(rows: Rows) -> bool:
    """True if a group of rows that may be compared is a fleet's."""
    return str(rows[0].conditions.get("host", "")).startswith(FLEET)


def notes(rows: Rows) -> list[str]:
    """Say how a fleet's curve came to be."""
    if not is_fleet(rows):
        return []
    skew = max(row.conditions["skew"] for row in rows)
    missing = max(row.conditions["fleet"] - row.conditions["hosts"] for row in rows)
    told = [
        f"The fleet's curve: begun on all hosts at the same moment, as far as their clocks are "
        f"known (± {1000 * skew:.1f} ms); each host stops by its own rule. Its memory is the sum."
    ]
    if missing:
        told.append(f"Hosts that went away, or measured nothing, aren't in it: {missing}.")
    return told


def _trial(row: Observation) -> str:
    """Return what the rows of one trial, on whatever host, have in common."""
    given = row.conditions
    keys = [key for key in statistics.FAIR if key not in ("host", "place", "accelerator")]
    if given.get("kind") == "vm":
        keys.append("accelerator")
    return repr([*row.trial, row.attempt, *(given.get(key) for key in keys)])


def _taken_together(trial: Rows) -> list[Observation]:
    hosts: dict[str, list[Observation]] = {}
    for row in trial:
        hosts.setdefault(str(row.conditions["worker"]), []).append(row)
    made = _filled(hosts) if trial[0].experiment == "density" else _scaled(hosts)
    accelerators = {row.conditions.get("accelerator") for row in trial}
    also = {
        "host": f"{FLEET}{len(hosts)}",
        "hosts": len(hosts),
        "accelerator": accelerators.pop() if len(accelerators) == 1 else "of each host",
        "skew": max(row.conditions["skew"] for row in trial),
    }
    return [
        replace(row, conditions={k: v for k, v in row.conditions.items() if k not in OF_ONE} | also)
        for row in made
    ]


# ---------------------------------------------------------------------------------------------
# Density


def _filled(hosts: Hosts) -> list[Observation]:
    """Each start anywhere is one more; memory is what all hosts have left."""
    made: list[Observation] = []
    left = {worker: _of(rows, "ramp")[0] for worker, rows in hosts.items() if _of(rows, "ramp")}
    began = {worker: first.at - first.conditions["late"] for worker, first in left.items()}
    made += [_memory(left.values(), 0)] if left else []
    for number, (worker, row) in enumerate(_starts(hosts, began), start=1):
        made.append(replace(_numbered(row, number), sample=number - 1))
        left[worker] = _after(hosts[worker], row)
        made.append(_memory(left.values(), number))
    return [*made, *_reached(hosts)]


def _starts(hosts: Hosts, began: Mapping[str, float]) -> list[tuple[str, Observation]]:
    """Return every start with its host, in the order in which they were ready."""
    starts = [(worker, row) for worker in began for row in _of(hosts[worker], "T0-T3")]
    return sorted(starts, key=lambda each: each[1].at - began[each[0]])


def _after(rows: Rows, start: Observation) -> Observation:
    """Return what a host had left of memory after one of its starts."""
    number = start.conditions["instances"]
    return next(row for row in _of(rows, "ramp") if row.conditions["instances"] == number)


def _memory(left: Iterable[Observation], instances: int) -> Observation:
    rows = list(left)
    total = sum(row.value for row in rows if row.value is not None)
    return replace(_numbered(rows[0], instances), value=total, sample=instances)


def _reached(hosts: Hosts) -> list[Observation]:
    """How many all hosts took; the rule is that of each."""
    ends = {worker: row for worker, rows in hosts.items() for row in _of(rows, "reached")}
    if not ends:
        return []
    rows = list(ends.values())
    rules = {row.conditions["rule"] for row in rows}
    told = "; ".join(
        f"{worker} {row.value:.0f} ({row.conditions['rule_text']})" for worker, row in ends.items()
    )
    budget = sum(row.conditions["memory_budget"] for row in rows)
    also = {"rule": " or ".join(sorted(rules)), "rule_text": told, "memory_budget": budget}
    total = sum(row.value for row in rows if row.value is not None)
    return [replace(rows[0], value=total, conditions=rows[0].conditions | also)]


# ---------------------------------------------------------------------------------------------
# Scale-out


def _scaled(hosts: Hosts) -> list[Observation]:
    """The n-th anywhere, and the last."""
    rows = [row for each in hosts.values() for row in each]
    return [
        *_curve(rows, "out", "all ready", lambda row: float(row.conditions["late"])),
        *_curve(rows, "in", "all gone", lambda row: 0.0),  # a host stops its own when they are up
    ]


def _curve(rows: Rows, curve: str, whole: str, late: Any) -> list[Observation]:
    times = sorted(
        ((row.value + late(row), row) for row in _of(rows, curve) if row.value is not None),
        key=lambda each: each[0],
    )
    if not times:
        return []
    made = [
        replace(_numbered(row, number), value=took)
        for number, (took, row) in enumerate(times, start=1)
    ]
    last, count = times[-1][0], len(times)
    end = replace(_numbered(times[-1][1], count), phase=whole, value=last)
    rate = replace(end, metric="rate", unit="1/s", value=count / last)
    return [*made, end, rate]


def _of(rows: Rows, phase: str) -> list[Observation]:
    return [row for row in rows if row.phase == phase]


def _numbered(row: Observation, instances: int) -> Observation:
    return replace(row, conditions=row.conditions | {"instances": instances})
