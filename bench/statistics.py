"""What may be said about rows: medians with intervals, fair comparisons, slopes.

Reads observations and nothing else. Medians, because start times have a long tail to the right;
bootstrap percentile intervals (Efron and Tibshirani, An Introduction to the Bootstrap, 1993,
ch. 13), because nothing is known about the distribution. Failures are counted, never timed;
warm-ups are left out. The random numbers are seeded: the same rows always give the same interval.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from bench import variants
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

# A rank correlation with the order of the samples that is at least so strong, and not by chance, of
# at least so many samples, is a trend: the host or the subject changed meanwhile (Spearman, 1904).
TREND, TREND_N = 0.5, 10
# So large a share of failures makes the median a number about those that went through.
MANY_FAILED = 0.1

# A bootstrap of more samples than this says what the order statistics say at once.
MANY = 1000

# Two samples are called different if chance alone would part them as clearly in less than one of
# a hundred cases, and the medians differ by at least a twentieth: less than that, the layout of
# memory and of files alone can move (Mytkowicz and others, Producing Wrong Data Without Doing
# Anything Obviously Wrong, ASPLOS 2009).
ALPHA = 0.01
FLOOR = 0.05

# What must be equal before two numbers may stand side by side.
# ("place": which of several hosts that are alike filled up, as its ramp and no other's.)
FAIR = ("digest", "cpus", "memory", "scratch", "workload", "accelerator", "host", "place")
# What must be equal, besides, where one subject is compared with itself at another time.
# ("through": a worker of a fleet, which waits between two trials, as a bench alone doesn't.)
SAME_SUBJECT = ("machine", "posture", "through")
# What one run may vary on purpose: each value makes a number of its own. (It may vary CPUs and
# memory, too; but these must be equal for two numbers to stand side by side.)
CROSSED = ("caches", "parallel", "io")


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


def series(rows: Sequence[Observation]) -> Sequence[Observation]:
    """Make what differs between rows, of what a run may vary, part of their subjects' names and
    titles: "vm (cold)", "libvirt VM, cold". So each combination is a line of its own wherever
    subjects are."""
    told = variants.differing([row.conditions for row in rows], CROSSED)
    return [_named(row, variants.label(row.conditions, told)) for row in rows] if told else rows


def _named(row: Observation, label: str) -> Observation:
    titled = f"{row.conditions.get('title', row.subject)}, {label}"
    return replace(
        row, subject=f"{row.subject} ({label})", conditions=row.conditions | {"title": titled}
    )


def alike(subject: str, other: str) -> str:
    """Return the name of `other` under the conditions of `subject`: of "vm (cold)" and "process",
    "process (cold)"."""
    _, opened, label = subject.partition(" (")
    return other + opened + label


def subjects(rows: Iterable[Observation]) -> list[str]:
    """Return the subjects: processes, then containers, then VMs; each as usual before others."""
    places: dict[str, tuple[Any, ...]] = {}
    for row in rows:
        if row.subject not in places:
            places[row.subject] = _place(row)
    return sorted(places, key=places.__getitem__)


def _place(row: Observation) -> tuple[Any, ...]:
    kind = {"process": 0, "container": 1, "vm": 2}.get(row.conditions.get("kind", ""), 3)
    cold, parallel, io = (variants.value(row.conditions, key) for key in CROSSED)
    return kind, row.subject.partition(" (")[0], cold != "warm", parallel, io or 0, row.subject


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
    return sorted(groups.values(), key=_limits)


def _limits(group: Sequence[Observation]) -> tuple[float, float]:
    cpus, memory = (variants.value(group[0].conditions, key) for key in ("cpus", "memory"))
    return float(cpus), float(memory)


def under(group: Sequence[Observation], groups: Sequence[Sequence[Observation]]) -> str:
    """Say what all rows of a fair group have in common that isn't usual, or that sets it apart from
    the other groups: "cold, 64 MiB", or ""."""
    given = [row.conditions for row in group]
    of_each = [each[0].conditions for each in groups]
    same = set(variants.USUAL) - set(variants.differing(given, CROSSED))
    told = variants.unusual(given[0], same) + variants.differing(of_each, FAIR)
    return variants.label(given[0], dict.fromkeys(told))


def check_fair(rows: Iterable[Observation], keys: Iterable[str] = FAIR) -> None:
    """Let rows pass that may be compared: `keys` are the conditions that must be equal.

    Raises:
        Unfair: a condition that must be equal differs between them.
    """
    rows = list(rows)
    for key in keys:
        usual = variants.USUAL[key] if key in CROSSED else None  # of rows that don't tell
        values = [row.conditions.get(key, usual) for row in rows]
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

    `median` is None without any sample; `low` and `high` are None with fewer than two. `p95` and
    `p99` are None where n doesn't carry them (`carries`).
    """

    n: int
    failed: int
    unit: str
    median: float | None
    low: float | None
    high: float | None
    warnings: tuple[str, ...] = ()
    p95: float | None = None
    p99: float | None = None


def summarise(rows: Sequence[Observation]) -> Summary:
    """Summarise samples of one metric of one subject.

    Raises:
        Unfair: the rows were taken under different conditions or answer different questions.
    """
    check_fair(rows, (*FAIR, *CROSSED))
    _check_same_question(rows)
    return summary_of(ok(rows), len(failures(rows)), rows[0].unit if rows else "")


def summary_of(values: Sequence[float], failed: int, unit: str) -> Summary:
    """Summarise values in the order in which they were taken."""
    if not len(values):
        return Summary(0, failed, unit, None, None, None, ("no sample succeeded",))
    import numpy as np

    low, high = _interval(values)
    return Summary(
        n=len(values),
        failed=failed,
        unit=unit,
        median=float(np.median(values)),
        low=low,
        high=high,
        warnings=tuple(_doubts(values, failed)),
        p95=tail(values, 0.95),
        p99=tail(values, 0.99),
    )


def carries(n: int, share: float) -> bool:
    """True if n samples carry this percentile: with 95 % confidence at least one of them lies above
    it, 1 - share^n ≥ 0.95 (Conover, sec. 3.2). p95 takes 59 samples, p99 takes 299."""
    return 1 - share**n >= CONFIDENCE


def tail(values: Sequence[float], share: float) -> float | None:
    """Return a tail percentile, or None where there are too few samples to carry it."""
    import numpy as np

    return float(np.quantile(values, share)) if carries(len(values), share) else None


def quartiles(values: Sequence[float]) -> tuple[float, ...] | None:
    """Return least, 25 %, 50 %, 75 % and most, or None without any sample."""
    import numpy as np

    if not values:
        return None
    return tuple(float(each) for each in np.percentile(values, [0, 25, 50, 75, 100]))


def _interval(values: Sequence[float]) -> tuple[float | None, float | None]:
    """Bootstrap percentile interval of the median; of many samples by order statistics."""
    import numpy as np
    from scipy.stats import bootstrap

    if len(values) < 2:
        return None, None
    if min(values) == max(values):
        return float(values[0]), float(values[0])
    if len(values) > MANY:
        return _by_order(values)
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


def _by_order(values: Sequence[float]) -> tuple[float, float]:
    """The samples that enclose the median with 95 % confidence (Conover, sec. 3.2)."""
    import numpy as np
    from scipy.stats import binom

    n = len(values)
    below = int(binom.ppf((1 - CONFIDENCE) / 2, n, 0.5))
    ranked = np.partition(values, [below - 1, n - below])
    return float(ranked[below - 1]), float(ranked[n - below])


def _doubts(values: Sequence[float], failed: int) -> list[str]:
    """Say why a number isn't to be trusted, or only so far."""
    return [doubt for doubt in (_few(values), _spread(values), _trend(values)) if doubt] + (
        [f"{failed} of {failed + len(values)} failed: the median is of those that went through"]
        if failed / (failed + len(values)) > MANY_FAILED
        else []
    )


def _few(values: Sequence[float]) -> str | None:
    if len(values) == 1:
        return "only 1 sample: no interval, and nothing to compare"
    if len(values) < ENOUGH:
        return f"only {len(values)} samples: fewer than {ENOUGH} can't give a 95 % interval"
    return None


def _spread(values: Sequence[float]) -> str | None:
    import numpy as np

    quarter, middle, three_quarters = np.percentile(values, [25, 50, 75])
    if len(values) < ENOUGH or not middle or (three_quarters - quarter) / middle <= STEADY:
        return None
    share = 100 * (three_quarters - quarter) / middle
    return f"unsteady: the middle half of the samples spreads over {share:.0f} % of the median"


def _trend(values: Sequence[float]) -> str | None:
    from scipy.stats import spearmanr

    if len(values) < TREND_N or min(values) == max(values):
        return None
    found = spearmanr(range(len(values)), values)
    if abs(found.statistic) < TREND or found.pvalue >= ALPHA:
        return None
    way = "larger" if found.statistic > 0 else "smaller"
    return f"a trend: the later samples are {way} (rank correlation {found.statistic:.2f})"


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

    @property
    def different(self) -> bool:
        """True if they are called different: not by chance (ALPHA), and by enough (FLOOR)."""
        return self.p < ALPHA and max(self.ratio, 1 / self.ratio) >= 1 + FLOOR

    @property
    def few(self) -> bool:
        """True if there are too few samples for "no difference was found" to say anything."""
        return min(self.n_a, self.n_b) < ENOUGH


def compare(
    a: Sequence[Observation], b: Sequence[Observation], keys: Iterable[str] = FAIR
) -> Comparison:
    """Compare one metric of two subjects: `keys` are the conditions that must be equal.

    Raises:
        Unfair: one of those conditions differs; `.condition` says which.
        LabError: one of them has fewer than two samples, or a median that is zero or might be.
    """
    import numpy as np
    from scipy.stats import bootstrap, mannwhitneyu

    same = {row.subject.partition(" (")[0] for row in (*a, *b)}
    for side in (a, b) if len(same) == 1 else ([*a, *b],):  # a subject may differ from itself
        check_fair(side, CROSSED)
    check_fair([*a, *b], keys)
    _check_same_question([*a, *b])
    values_a, values_b = np.asarray(ok(a)), np.asarray(ok(b))
    if min(len(values_a), len(values_b)) < 2:
        raise LabError(
            "compare observations",
            f"{len(values_a)} and {len(values_b)} samples",
            remedy="two of each are the least; ask for more with --n",
        )
    if min(np.median(values_a), np.median(values_b)) <= 0:
        raise LabError("compare observations", "a median is zero", "there is no ratio to zero")

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
            batch=max(1, 10**7 // max(len(values_a), len(values_b))),  # bounds the memory it takes
            method="percentile",
            rng=rng,
        ).confidence_interval
    if not np.isfinite(interval).all():
        raise LabError(
            "compare observations",
            "many samples are zero",
            "there is no interval of a ratio to zero",
        )
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
# One subject with one thing changed


@dataclass(frozen=True)
class Difference:
    """How much more a changed instance takes than an unchanged one of the same round: the median of
    these differences with its 95 % interval, which is None with fewer than two.
    """

    n: int
    unit: str
    median: float | None
    low: float | None
    high: float | None

    @property
    def told_apart(self) -> bool:
        """True if the interval doesn't hold zero, and rests on enough samples to be one."""
        if self.low is None or self.high is None or self.n < ENOUGH:
            return False
        return self.low > 0 or self.high < 0


def difference(changed: Sequence[Observation], whole: Sequence[Observation]) -> Difference:
    """Compare samples of the same rounds, pair by pair: a slow minute of the host is in both.

    Raises:
        Unfair: the rows were taken under different conditions.
    """
    check_fair([*changed, *whole])
    of = {row.sample: row.value for row in select(whole, status="ok")}
    pairs = [(row.value, of.get(row.sample)) for row in select(changed, status="ok")]
    found = [a - b for a, b in pairs if a is not None and b is not None]
    unit = whole[0].unit if whole else ""
    summary = summary_of(found, 0, unit)
    return Difference(len(found), unit, summary.median, summary.low, summary.high)


# ---------------------------------------------------------------------------------------------
# A slope: what one more instance costs


@dataclass(frozen=True)
class Slope:
    """Least-squares line through (instances, value).

    per_instance: change of the value with one more instance, in the rows' unit.
    low, high: 95 % interval of the slope (Student's t on n - 2 degrees of freedom).
    drift: how alike the deviations of two readings in a row are (their correlation). The interval
        takes readings as independent; where they drift together, it is narrower than the truth.
    """

    per_instance: float
    low: float
    high: float
    intercept: float
    n: int
    unit: str
    drift: float = 0.0

    @property
    def drifts(self) -> bool:
        """True if the readings drift together."""
        return self.n >= TREND_N and self.drift >= TREND


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
    flat = len({y for _, y in points}) == 1  # then linregress has no number for the error
    error = 0.0 if flat else float(fit.stderr)
    reach = float(t.ppf((1 + CONFIDENCE) / 2, len(points) - 2)) * error
    middle = float(fit.slope)
    return Slope(
        per_instance=middle,
        low=middle - reach,
        high=middle + reach,
        intercept=float(fit.intercept),
        n=len(points),
        unit=rows[0].unit,
        drift=_drift([y - fit.intercept - fit.slope * x for x, y in points]),
    )


def _drift(deviations: Sequence[float]) -> float:
    """Return the correlation of each with the one before it (lag-1 autocorrelation)."""
    pairs = zip(deviations, deviations[1:], strict=False)
    whole = sum(each * each for each in deviations)
    return float(sum(a * b for a, b in pairs) / whole) if whole else 0.0


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
    check_fair(rows, (*FAIR, *CROSSED))
    _check_same_question(rows)
    return [
        (row.conditions["instances"], row.value)
        for row in rows
        if row.value is not None and not row.warmup
    ]
