"""A run's rows as the judges see them: one container, one VM and the plain process, under like
conditions, each by its kind.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from bench import statistics, tables, units
from bench.claims.verdict import Finding
from bench.observations import Observation
from bench.statistics import Comparison
from labrt.errors import LabError

PREFERRED = ("process", "labrt", "vm")  # of several of a kind, the one that stands for it
TCG = (
    "The VM ran under TCG, where QEMU translates every instruction: with KVM the distance between "
    "VM and container is smaller."
)
# Above this ratio it isn't "as fast as". Below it, one can't tell from layout and noise.
LOW = 1.10
# So many times larger than another is clearly larger, also if it was tried once.
CLEARLY = 2.0


class Evidence:
    """The rows of one run; of a fleet's, those of the host that has most."""

    def __init__(self, rows: Sequence[Observation]) -> None:
        hosts = Counter(str(row.conditions.get("host")) for row in rows).most_common()
        self._rows = [
            row for row in rows if not row.warmup and str(row.conditions.get("host")) == hosts[0][0]
        ]
        self.alone = (
            f"Judged by the host {hosts[0][0]} alone, of {len(hosts)} that aren't alike."
            if len(hosts) > 1
            else ""
        )

    def of(self, experiment: str) -> list[Observation]:
        """Return an experiment's rows, as far as they may be compared: of several sets (TCG and
        KVM, cold and warm caches) the one where nothing was varied on purpose, else the first."""
        sets: dict[str, list[Observation]] = {}
        for row in self._rows:
            if row.experiment == experiment:
                alike = [row.conditions.get(key) for key in (*statistics.FAIR, *statistics.CROSSED)]
                sets.setdefault(repr(alike), []).append(row)
        first: list[Observation] = next(iter(sets.values()), [])
        return next((each for each in sets.values() if _usual(each[0])), first)

    def subject(self, experiment: str, kind: str) -> str | None:
        """Return the subject that stands for "process", "container" or "vm"."""
        mine = {row.subject for row in self.of(experiment) if row.conditions.get("kind") == kind}
        preferred = [name for name in PREFERRED if name in mine]
        return next(iter(preferred or sorted(mine)), None)

    def number(self, experiment: str, kind: str, phase: str, metric: str) -> list[Observation]:
        """Return the rows of one number of one kind."""
        name = self.subject(experiment, kind)
        return statistics.select(self.of(experiment), subject=name, phase=phase, metric=metric)

    def title(self, experiment: str, kind: str) -> str:
        """Return how sentences call the subject of a kind."""
        return statistics.title(self.of(experiment), self.subject(experiment, kind) or kind)

    def limits(self, experiment: str) -> tuple[str, ...]:
        """Return what limits any comparison with these VMs."""
        mine = [row for row in self.of(experiment) if row.conditions.get("kind") == "vm"]
        return (TCG,) if any(row.conditions.get("accelerator") == "tcg" for row in mine) else ()


def _usual(row: Observation) -> bool:
    """True where nothing was varied on purpose."""
    varied = (row.conditions.get(key) for key in statistics.CROSSED)
    return all(value in (None, "warm", 1) for value in varied)


def counted(rows: Sequence[Observation]) -> dict[str, int]:
    """Return how many samples succeeded, by subject."""
    return {name: len(statistics.ok(_of(rows, name))) for name in statistics.subjects(rows)}


def _of(rows: Sequence[Observation], name: str) -> list[Observation]:
    return [row for row in rows if row.subject == name]


def less(evidence: Evidence, experiment: str, phase: str, metric: str, verb: str) -> Finding | None:
    """Is a container's number less than a VM's?

    Args:
        verb: what it does, to follow its name: "is ready after".
    """
    a, b = (evidence.number(experiment, kind, phase, metric) for kind in ("container", "vm"))
    if not a or not b:
        return None
    said = ", ".join(
        f"the {evidence.title(experiment, kind)} {verb} {tables.middle(statistics.summarise(rows))}"
        for kind, rows in (("container", a), ("vm", b))
    )
    said = f"T{said[1:]}"
    n, figures = counted([*a, *b]), _middles(phase, a, b)
    found = compared(a, b)
    if isinstance(found, str):
        return Finding(None, f"{said}: {found}.", figures, n)
    holds = _is_less(found)
    limits = evidence.limits(experiment) if holds else ()
    return Finding(holds, f"{said}: {_told(found)}.", figures | _ratio(phase, found), n, limits)


def _is_less(found: Comparison) -> bool | None:
    """Too few samples that show no difference show nothing."""
    if found.different:
        return found.ratio < 1
    return None if found.few else False


def _told(found: Comparison) -> str:
    p = tables.p_text(found.p)
    if found.different:
        return ratio_text(_turned(found))
    if found.few:
        return f"{min(found.n_a, found.n_b)} samples of each are too few to tell ({p})"
    return f"no difference was found ({p})"


def apart(a: Sequence[Observation], b: Sequence[Observation]) -> bool | None:
    """True if all of `a` is clearly below all of `b`, False if above, None if neither: where one or
    two tries are all there is, a test of chance can't be passed, however large the distance."""
    low, high = statistics.ok(a), statistics.ok(b)
    if not low or not high:
        return None
    if CLEARLY * max(low) <= min(high):
        return True
    return False if min(low) >= CLEARLY * max(high) else None


def compared(a: Sequence[Observation], b: Sequence[Observation]) -> Comparison | str:
    """Compare, or say why that can't be done."""
    try:
        return statistics.compare(a, b)
    except LabError as error:
        return f"not compared: {error.answer}"


def ratio_text(found: tuple[float, float, float, float]) -> str:
    """Write (ratio, low, high, p) as "390 times as much (95 % interval 380 – 400, p < 0.001)"."""
    ratio, low, high, p = (*map(units.digits, found[:3]), tables.p_text(found[3]))
    return f"{ratio} times as much (95 % interval {low} – {high}, {p})"


def _turned(found: Comparison) -> tuple[float, float, float, float]:
    """Put the larger over the smaller."""
    if found.ratio >= 1:
        return found.ratio, found.low, found.high, found.p
    return 1 / found.ratio, 1 / found.high, 1 / found.low, found.p


def _middles(phase: str, *sets: Sequence[Observation]) -> dict[str, float | None]:
    return {
        f"{rows[0].subject} {phase} {rows[0].metric} [{rows[0].unit}]": statistics.summarise(
            rows
        ).median
        for rows in sets
    }


def _ratio(phase: str, found: Comparison) -> dict[str, float]:
    name = f"{phase} {found.a} / {found.b}"
    return {
        name: found.ratio,
        f"{name} low": found.low,
        f"{name} high": found.high,
        f"{name} p": found.p,
    }
