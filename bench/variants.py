"""Variants: the conditions that one run may vary on purpose, and how they are called.

Those who measure make them, those who tell read them from the rows; neither knows the other.
"""

from __future__ import annotations

import itertools
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from bench import units

# Conditions with their usual values; rows that don't say have these.
USUAL: dict[str, Any] = {
    "caches": "warm",
    "parallel": 1,
    "io": None,
    "cpus": 1.0,
    "memory": 256 * 1024 * 1024,
}


@dataclass(frozen=True)
class Variant:
    """One combination of them.

    Attributes:
        caches: "cold": the host drops its caches before each start (`bench.caches`).
        parallel: so many instances start, or stop, at once; 0: as the experiment usually does.
        io: bytes/s that an instance may read from its disk, and as many to write; None: no limit.
        cpus, memory: as of `Workload`.
    """

    caches: str = USUAL["caches"]
    parallel: int = 0
    io: int | None = USUAL["io"]
    cpus: float = USUAL["cpus"]
    memory: int = USUAL["memory"]

    @property
    def label(self) -> str:
        """Name what isn't usual about it, or ""."""
        given = asdict(self) | {"parallel": self.parallel or USUAL["parallel"]}
        return label(given, unusual(given))


def crossed(**asked: Iterable[Any]) -> list[Variant]:
    """Return every combination of the values asked for, by field; none of a field: the usual."""
    given = {name: list(values) for name, values in asked.items() if values}
    return [
        Variant(**dict(zip(given, each, strict=True)))
        for each in itertools.product(*given.values())
    ]


def unusual(given: Mapping[str, Any], keys: Collection[str] = USUAL) -> list[str]:
    """Return which conditions aren't the usual ones."""
    return [key for key in USUAL if key in keys and value(given, key) != USUAL[key]]


def differing(many: Sequence[Mapping[str, Any]], keys: Iterable[str]) -> list[str]:
    """Return which conditions aren't the same everywhere."""
    return [key for key in keys if len({value(each, key) for each in many}) > 1]


def value(conditions: Mapping[str, Any], key: str) -> Any:
    """Return a row's condition; one that it doesn't tell is the usual."""
    found = conditions.get(key)
    return USUAL.get(key) if found is None else found


def label(conditions: Mapping[str, Any], keys: Iterable[str]) -> str:
    """Say the conditions in words: "cold, 4 at once"."""
    said = ((key, value(conditions, key)) for key in keys)
    return ", ".join(_word(key, each) for key, each in said if (key, each) != ("place", None))


def _word(key: str, given: Any) -> str:
    if key == "parallel":
        return "one at a time" if given == 1 else f"{given} at once"
    if key == "io":
        return "no I/O limit" if given is None else f"I/O {units.text(float(given), 'B/s')}"
    if key == "cpus":
        return f"{units.digits(float(given))} CPU" + ("s" if given > 1 else "")
    if key == "memory":
        return units.text(float(given), "B")
    if key == "host":
        return f"{given} hosts" if str(given).startswith("fleet of ") else f"host {given}"
    return f"on {given}" if key == "place" else str(given)
