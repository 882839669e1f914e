"""bench/statistics.py: failures are never times, and only like is compared with like."""

from __future__ import annotations

import math
import random
from collections.abc import Callable

import pytest

from bench import statistics
from bench.observations import Observation
from bench.statistics import Unfair, compare, fair_groups, robust_slope, slope, summarise
from labrt.errors import LabError

Row = Callable[..., Observation]


def rows_of(row: Row, values: list[float], **given: object) -> list[Observation]:
    return [row(value, sample=sample, **given) for sample, value in enumerate(values)]


def test_the_median_lies_in_its_interval(row: Row) -> None:
    found = summarise(rows_of(row, [1.0, 1.1, 1.2, 1.3, 1.4, 1.5, 9.0]))
    assert found.median == 1.3
    assert found.low is not None and found.high is not None
    assert 1.0 <= found.low <= 1.3 <= found.high <= 9.0
    assert found.n == 7


def test_the_same_rows_always_give_the_same_interval(row: Row) -> None:
    rows = rows_of(row, [1.0, 1.2, 1.5, 1.1, 1.9, 1.3])
    assert summarise(rows) == summarise(rows)


def test_failures_are_counted_and_never_timed(row: Row) -> None:
    found = summarise([*rows_of(row, [1.0, 2.0, 3.0]), row(None), row(None)])
    assert (found.n, found.failed, found.median) == (3, 2, 2.0)


def test_with_nothing_but_failures_there_is_no_number(row: Row) -> None:
    found = summarise([row(None), row(None)])
    assert (found.n, found.failed, found.median, found.low) == (0, 2, None, None)
    assert found.warnings


def test_warm_ups_are_left_out(row: Row) -> None:
    rows = [row(99.0, warmup=True), *rows_of(row, [1.0, 1.0])]
    assert statistics.ok(rows) == [1.0, 1.0]
    assert statistics.select(rows, subject="labrt") == rows[1:]


@pytest.mark.parametrize("count", [1, 2, 5])
def test_too_few_samples_are_told(row: Row, count: int) -> None:
    assert any("only" in w for w in summarise(rows_of(row, [1.0] * count)).warnings)
    assert not summarise(rows_of(row, [1.0] * statistics.ENOUGH)).warnings


def test_an_unsteady_host_is_told(row: Row) -> None:
    found = summarise(rows_of(row, [1.0, 1.0, 1.0, 5.0, 5.0, 5.0, 5.0]))
    assert any("unsteady" in warning for warning in found.warnings)


def test_one_sample_is_said_to_be_one(row: Row) -> None:
    found = summarise([row(1.0)])
    assert (found.median, found.low, found.high) == (1.0, None, None)
    assert found.warnings == ("only 1 sample: no interval, and nothing to compare",)


@pytest.mark.parametrize(
    ("slope", "told"), [(0.05, "later samples are larger"), (-0.02, "smaller")]
)
def test_a_trend_over_the_run_is_told(row: Row, slope: float, told: str) -> None:
    noise = [0.03, -0.01, 0.02, -0.03, 0.0, 0.01, -0.02, 0.03, -0.01, 0.0, 0.02, -0.02]
    values = [1.0 + slope * k + noise[k] for k in range(12)]
    assert any(told in warning for warning in summarise(rows_of(row, values)).warnings)
    assert not summarise(rows_of(row, [1.0 + each for each in noise])).warnings


def test_many_failures_are_told(row: Row) -> None:
    found = summarise([*rows_of(row, [1.0] * 8), row(None), row(None)])
    assert found.warnings == ("2 of 10 failed: the median is of those that went through",)
    assert not summarise([*rows_of(row, [1.0] * 29), row(None)]).warnings


@pytest.mark.parametrize(("share", "least"), [(0.5, 5), (0.95, 59), (0.99, 299)])
def test_a_tail_percentile_is_given_only_where_n_carries_it(share: float, least: int) -> None:
    values = [float(k) for k in range(least)]
    assert statistics.tail(values[:-1], share) is None
    assert statistics.tail(values, share) == pytest.approx(share * (least - 1))


def test_of_many_samples_the_interval_is_that_of_a_bootstrap(
    row: Row, monkeypatch: pytest.MonkeyPatch
) -> None:
    drawn = random.Random(1)
    rows = rows_of(row, [drawn.lognormvariate(0, 0.3) for _ in range(901)])
    by_bootstrap = summarise(rows)
    monkeypatch.setattr(statistics, "MANY", 900)
    by_order = summarise(rows)
    assert by_order.low == pytest.approx(by_bootstrap.low, rel=0.02)
    assert by_order.high == pytest.approx(by_bootstrap.high, rel=0.02)


def test_the_interval_by_order_covers_the_median_as_often_as_it_says() -> None:
    drawn = random.Random(1)
    spans = [statistics._by_order([drawn.expovariate(1) for _ in range(101)]) for _ in range(400)]
    covered = sum(low <= math.log(2) <= high for low, high in spans)
    assert 0.92 * 400 <= covered <= 0.99 * 400


DIFFERENT = {
    "digest": "sha256:" + "cd" * 32,
    "cpus": 2.0,
    "memory": 512 * 2**20,
    "scratch": 2**20,
    "workload": "hash",
    "accelerator": "kvm",
    "host": "another host",
    "place": "another of the same kind",
}


def test_every_condition_of_fairness_is_tried_below() -> None:
    assert set(DIFFERENT) == set(statistics.FAIR)


@pytest.mark.parametrize("condition", DIFFERENT)
def test_a_comparison_refuses_by_name_what_differs(row: Row, condition: str) -> None:
    ours = rows_of(row, [1.0, 2.0, 3.0])
    theirs = rows_of(row, [1.0, 2.0], subject="vm", **{condition: DIFFERENT[condition]})
    with pytest.raises(Unfair) as caught:
        compare(ours, theirs)
    assert caught.value.condition == condition
    assert condition in str(caught.value)
    assert str(DIFFERENT[condition]) in str(caught.value)


# Only ramps of hosts that are alike have a place.
@pytest.mark.parametrize("condition", [key for key in DIFFERENT if key != "place"])
def test_a_condition_that_is_missing_differs_too(row: Row, condition: str) -> None:
    told = rows_of(row, [1.0, 2.0], **{condition: DIFFERENT[condition]})
    without = rows_of(row, [1.0, 2.0])
    for each in without:
        each.conditions.pop(condition, None)
    with pytest.raises(Unfair):
        compare(told, without)


@pytest.mark.parametrize("condition", DIFFERENT)
def test_no_median_is_taken_over_different_conditions(row: Row, condition: str) -> None:
    with pytest.raises(Unfair):
        summarise([row(1.0), row(2.0, **{condition: DIFFERENT[condition]})])


def test_start_and_stop_times_are_not_compared(row: Row) -> None:
    with pytest.raises(Unfair):
        compare(rows_of(row, [1.0, 2.0]), rows_of(row, [1.0, 2.0], experiment="stop"))


def test_a_comparison_is_a_ratio_of_medians(row: Row) -> None:
    slow = rows_of(row, [2.0, 2.1, 1.9, 2.0, 2.2, 1.8, 2.0], subject="vm")
    fast = rows_of(row, [0.010, 0.011, 0.009, 0.010, 0.012, 0.008, 0.010])
    found = compare(slow, fast)
    assert found.ratio == pytest.approx(200)
    assert 150 < found.low <= 200 <= found.high < 260
    assert found.p < 0.05
    assert (found.a, found.b) == ("vm", "labrt")


def test_equal_samples_are_not_told_apart(row: Row) -> None:
    values = [1.0, 1.1, 0.9, 1.05, 0.95, 1.0]
    found = compare(rows_of(row, values, subject="vm"), rows_of(row, values))
    assert found.ratio == 1.0
    assert found.p > 0.5


def test_a_median_of_zero_has_no_ratio(row: Row) -> None:
    with pytest.raises(LabError, match="no ratio to zero"):
        compare(rows_of(row, [1.0, 2.0]), rows_of(row, [0.0, 0.0]))


def test_one_sample_is_no_comparison(row: Row) -> None:
    with pytest.raises(LabError, match="--n"):
        compare([row(1.0)], rows_of(row, [1.0, 2.0]))


def test_the_slope_is_found_within_its_interval(row: Row) -> None:
    noise = [3, -2, 1, -1, 2, -3, 0, 1]
    rows = [
        row(1000.0 - 50 * n + noise[n], instances=n, metric="mem_available", unit="B")
        for n in range(8)
    ]
    found = slope(rows)
    assert found is not None
    assert found.low < -50 < found.high
    assert found.high - found.low < 5
    assert found.n == 8


def test_readings_that_drift_together_are_told(row: Row) -> None:
    steady = [row(100.0 * n + (-1) ** n, instances=n) for n in range(20)]
    drifting = [row(100.0 * n + (50 if 5 < n < 12 else 0), instances=n) for n in range(20)]
    for rows, drifts in ((steady, False), (drifting, True)):
        found = slope(rows)
        assert found is not None and found.drifts is drifts


def test_the_robust_slope_is_not_moved_by_a_disturbed_reading(row: Row) -> None:
    rows = [row(1000.0 - 50 * n, instances=n, metric="mem_available", unit="B") for n in range(8)]
    rows[6] = row(100.0, instances=6, metric="mem_available", unit="B")
    assert robust_slope(rows).per_instance == pytest.approx(-50)


def test_readings_that_are_all_the_same_have_a_slope_of_nothing(row: Row) -> None:
    found = slope([row(5e9, instances=n) for n in range(4)])
    assert found is not None
    assert (found.low, found.per_instance, found.high, found.intercept) == (0.0, 0.0, 0.0, 5e9)


def test_two_numbers_of_instances_have_no_slope_with_an_interval(row: Row) -> None:
    assert slope([row(1.0, instances=0), row(2.0, instances=1), row(2.1, instances=1)]) is None


def test_tcg_and_kvm_never_share_a_group(row: Row) -> None:
    rows = [row(1.0), row(2.0, accelerator="kvm"), row(3.0), row(4.0, accelerator="kvm")]
    groups = fair_groups(rows)
    assert [[each.value for each in group] for group in groups] == [[1.0, 3.0], [2.0, 4.0]]


# What a run varies


def test_what_differs_becomes_part_of_the_name_and_what_is_the_same_does_not(row: Row) -> None:
    rows = [row(caches="warm", parallel=4), row(caches="cold", parallel=4)]
    named = statistics.series(rows)
    assert statistics.subjects(named) == ["labrt (warm)", "labrt (cold)"]
    assert statistics.title(named, "labrt (cold)") == "labrt container, cold"
    assert statistics.under(rows, [rows]) == "4 at once"
    assert statistics.alike("labrt (cold)", "process") == "process (cold)"


def test_a_run_that_varies_nothing_keeps_its_names(row: Row) -> None:
    rows = [row(caches="warm"), row()]
    assert statistics.series(rows) == rows
    assert statistics.under(rows, [rows]) == ""


def test_the_usual_comes_first_and_few_before_many(row: Row) -> None:
    rows = [row(parallel=count) for count in (16, 4, 1)]
    assert statistics.subjects(statistics.series(rows)) == [
        "labrt (one at a time)",
        "labrt (4 at once)",
        "labrt (16 at once)",
    ]


def test_limits_that_differ_never_stand_side_by_side(row: Row) -> None:
    groups = fair_groups([row(memory=2**26), row(memory=2**28)])
    assert [statistics.under(group, groups) for group in groups] == ["64 MiB", "256 MiB"]


def test_cold_and_warm_are_never_one_number(row: Row) -> None:
    with pytest.raises(Unfair, match="caches differs"):
        summarise([row(caches="cold"), row(caches="warm")])


def test_a_subject_is_compared_with_itself_cold_but_not_with_another(row: Row) -> None:
    warm = rows_of(row, [1.0, 1.1, 1.2])
    cold = rows_of(row, [2.0, 2.1, 2.2], caches="cold")
    assert compare(cold, warm).ratio == pytest.approx(2.1 / 1.1)
    other = rows_of(row, [2.0, 2.1, 2.2], caches="cold", subject="vm")
    with pytest.raises(Unfair, match="caches differs"):
        compare(other, warm)
