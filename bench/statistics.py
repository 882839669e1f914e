"""What may be said about rows: medians with intervals, fair comparisons, slopes.

Reads observations and nothing else. Medians, because start times have a long tail to the right;
bootstrap percentile intervals (Efron and Tibshirani, An Introduction to the Bootstrap, 1993,
ch. 13), because nothing is known about the distribution. Failures are counted, never timed;
warm-ups are left out. The random numbers are seeded: the same rows always give the same interval.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from bench.observations import Observation
from labrt.errors import LabError

CONFIDENCE = 0.95
RESAMPLES = 5000
SEED = 20240229

# With fewer than six samples even the smallest and the largest enclose the median with less than
# 95 % confidence: 1 - 2 × 0.5^n (Conover, Practical Nonparametric Statistics, 1999, sec. 3.2).
ENOUGH = 6
# Half of the samples lie further apart than this share of the median: the host wasn't quiet.
STEADY = 0.25

# What must be equal before two numbers may stand side by side.
FAIR = ("digest", "cpus", "memory", "workload", "accelerator", "host")


class Unfair(LabError):
    """Two sets of rows that may not be compared; `.condition` names what differs."""

    def __init__(self, condition: str, values: Iterable[Any]) -> None:
        seen = ", ".join(sorted({str(value) for value in values}))
        super().__init__(
            "compare observations",
            f"their {condition} differs: {seen}",
            "a difference in the numbers could come from that alone",
            f"compare rows with the same {condition}, or measure again with it equal",
        )
        self.condition = condition


def select(rows: Iterable[Observation], **wanted: Any) -> list[Observation]:
    """Return the rows whose attributes equal all those named; warm-ups are left out."""
    return [
        row
        for row in rows
        if not row.warmup and all(getattr(row, key) == value for key, value in wanted.items())
    ]


def ok(rows: Iterable[Observation]) -> list[float]:
    """Return the values of the rows that have one, warm-ups left out."""
    return [row.value for row in rows if row.value is not None and not row.warmup]


def failures(rows: Iterable[Observation]) -> list[Observation]:
    """Return the failed rows, warm-ups included: a failure is never hidden."""
    return [row for row in rows if row.status == "failed"]


def subjects(rows: Iterable[Observation]) -> list[str]:
    """Return the subjects: processes, then containers, then VMs."""
    order = {"process": 0, "container": 1, "vm": 2}
    seen = {(order.get(row.conditions.get("kind", ""), 3), row.subject) for row in rows}
    return [name for _, name in sorted(seen)]


def title(rows: Iterable[Observation], subject: str) -> str:
    """Return how pictures and tables call a subject."""
    for row in rows:
        if row.subject == subject:
            return str(row.conditions.get("title", subject))
    return subject


# ---------------------------------------------------------------------------------------------
# Fairness


def fair_groups(rows: Sequence[Observation]) -> list[list[Observation]]:
    """Split rows so that each part holds only what may be compared.

    TCG and KVM, two digests, two hosts … never share a part, so they never share a table or a
    picture panel.
    """
    groups: dict[str, list[Observation]] = {}
    for row in rows:
        groups.setdefault(repr([row.conditions.get(key) for key in FAIR]), []).append(row)
    return list(groups.values())


def check_fair(rows: Iterable[Observation]) -> None:
    """Let rows pass that may be compared.

    Raises:
        Unfair: a condition that must be equal differs between them.
    """
    rows = list(rows)
    for key in FAIR:
        values = [row.conditions.get(key) for row in rows]
        if any(value != values[0] for value in values):
            raise Unfair(key, values)


def _check_same_question(rows: Iterable[Observation]) -> None:
    rows = list(rows)
    for key in ("experiment", "phase", "metric", "unit"):
        values = {getattr(row, key) for row in rows}
        if len(values) > 1:
            raise Unfair(key, values)


# ---------------------------------------------------------------------------------------------
# One number from many samples


@dataclass(frozen=True)
class Summary:
    """A median with its 95 % interval.

    `median` is None without any sample; `low` and `high` are None with fewer than two.
    """

    n: int
    failed: int
    unit: str
    median: float | None
    low: float | None
    high: float | None
    warnings: tuple[str, ...] = ()


def summarise(rows: Sequence[Observation]) -> Summary:
    """Summarise samples of one metric of one subject.

    Raises:
        Unfair: the rows were taken under different conditions or answer different questions.
    """
    check_fair(rows)
    _check_same_question(rows)
    values = ok(rows)
    failed = len(failures(rows))
    unit = rows[0].unit if rows else ""
    if not values:
        return Summary(0, failed, unit, None, None, None, ("no sample succeeded",))
    import numpy as np

    middle = float(np.median(values))
    low, high = _interval(values)
    return Summary(len(values), failed, unit, middle, low, high, tuple(_doubts(values, middle)))


def _interval(values: Sequence[float]) -> tuple[float | None, float | None]:
    """Bootstrap percentile interval of the median."""
    import numpy as np
    from scipy.stats import bootstrap

    if len(values) < 2:
        return None, None
    if min(values) == max(values):
        return values[0], values[0]
    result = bootstrap(
        (np.asarray(values),),
        np.median,
        confidence_level=CONFIDENCE,
        n_resamples=RESAMPLES,
        method="percentile",
        rng=np.random.default_rng(SEED),
    )
    interval = result.confidence_interval
    return float(interval.low), float(interval.high)


def _doubts(values: Sequence[float], middle: float) -> list[str]:
    import numpy as np

    doubts = []
    if len(values) < ENOUGH:
        doubts.append(f"only {len(values)} samples: fewer than {ENOUGH} can't give a 95 % interval")
    quarter, three_quarters = np.percentile(values, [25, 75])
    if len(values) >= ENOUGH and middle and (three_quarters - quarter) / middle > STEADY:
        doubts.append(
            f"unsteady: the middle half of the samples spreads over "
            f"{100 * (three_quarters - quarter) / middle:.0f} % of the median"
        )
    return doubts


# ---------------------------------------------------------------------------------------------
# Two subjects


@dataclass(frozen=True)
class Comparison:
    """How many times larger the median of `a` is than that of `b`.

    p: how often chance alone would part the samples as clearly (Mann-Whitney test, which is the
        permutation test of the ranks; two-sided).
    """

    a: str
    b: str
    ratio: float
    low: float
    high: float
    p: float
    n_a: int
    n_b: int


def compare(a: Sequence[Observation], b: Sequence[Observation]) -> Comparison:
    """Compare one metric of two subjects.

    Raises:
        Unfair: digest, cpus, memory, workload, accelerator or host differ; `.condition` says which.
        LabError: one of them has fewer than two samples.
    """
    import numpy as np
    from scipy.stats import bootstrap, mannwhitneyu

    check_fair([*a, *b])
    _check_same_question([*a, *b])
    values_a, values_b = np.asarray(ok(a)), np.asarray(ok(b))
    if min(len(values_a), len(values_b)) < 2:
        raise LabError(
            "compare observations",
            f"{len(values_a)} and {len(values_b)} samples",
            remedy="two of each are the least; ask for more with --n",
        )

    def ratio(x: Any, y: Any, axis: int = -1) -> Any:
        return np.median(x, axis=axis) / np.median(y, axis=axis)

    rng = np.random.default_rng(SEED)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # samples that are all equal: the interval is a point
        interval = bootstrap(
            (values_a, values_b),
            ratio,
            confidence_level=CONFIDENCE,
            n_resamples=RESAMPLES,
            method="percentile",
            rng=rng,
        ).confidence_interval
    return Comparison(
        a=a[0].subject,
        b=b[0].subject,
        ratio=float(ratio(values_a, values_b)),
        low=float(interval.low),
        high=float(interval.high),
        p=float(mannwhitneyu(values_a, values_b).pvalue),
        n_a=len(values_a),
        n_b=len(values_b),
    )


# ---------------------------------------------------------------------------------------------
# A slope: what one more instance costs


@dataclass(frozen=True)
class Slope:
    """Least-squares line through (instances, value).

    per_instance: change of the value with one more instance, in the rows' unit.
    low, high: 95 % interval of the slope (Student's t on n - 2 degrees of freedom).
    """

    per_instance: float
    low: float
    high: float
    intercept: float
    n: int
    unit: str


def slope(rows: Sequence[Observation]) -> Slope | None:
    """Regress the rows' values on `conditions["instances"]`.

    Returns None with fewer than three different numbers of instances: two points are always on a
    line and say nothing about its error.

    Raises:
        Unfair: the rows were taken under different conditions or answer different questions.
    """
    from scipy.stats import linregress, t

    points = _points(rows)
    if len({x for x, _ in points}) < 3:
        return None
    fit = linregress([x for x, _ in points], [y for _, y in points])
    reach = float(t.ppf((1 + CONFIDENCE) / 2, len(points) - 2)) * float(fit.stderr)
    middle = float(fit.slope)
    return Slope(
        per_instance=middle,
        low=middle - reach,
        high=middle + reach,
        intercept=float(fit.intercept),
        n=len(points),
        unit=rows[0].unit,
    )


def robust_slope(rows: Sequence[Observation]) -> Slope:
    """Regress as `slope`, but by Theil and Sen: the median of the slopes between all pairs of
    points, which a reading that something else disturbed doesn't move.

    Raises:
        Unfair: as `slope`.
    """
    from scipy.stats import theilslopes

    points = _points(rows)
    fit = theilslopes([y for _, y in points], [x for x, _ in points], CONFIDENCE)
    return Slope(
        per_instance=float(fit.slope),
        low=float(fit.low_slope),
        high=float(fit.high_slope),
        intercept=float(fit.intercept),
        n=len(points),
        unit=rows[0].unit,
    )


def _points(rows: Sequence[Observation]) -> list[tuple[int, float]]:
    check_fair(rows)
    _check_same_question(rows)
    return [
        (row.conditions["instances"], row.value)
        for row in rows
        if row.value is not None and not row.warmup
    ]
