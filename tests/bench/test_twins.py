"""bench/twins.py and `bench aa`: the bench must not call a subject different from itself."""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from pathlib import Path

import pytest

from bench import twins
from bench.observations import ROWS, Observation, read
from bench.subjects.base import Workload
from tests.bench.conftest import needs_cgroups
from tests.bench.test_main import bench

Row = Callable[..., Observation]


def check(row: Row, seed: int, n: int = 30, apart: float = 1.0) -> list[Observation]:
    """Rows of twenty comparisons: log-normal, a tenth of them much later, as real starts are."""
    drawn = random.Random(seed)

    def start() -> float:
        return drawn.lognormvariate(0, 0.15) * (3 if drawn.random() < 0.1 else 1)

    sides = zip(twins.names("labrt"), (1.0, apart), strict=True)
    return [
        row(start() * factor, subject=name, sample=sample)
        for name, factor in sides
        for sample in range(20 * n)
    ]


def different(rows: list[Observation], n: int = 30) -> int:
    return sum(each.different for each in twins.comparisons(rows, "labrt", n))


def test_alike_is_called_alike(row: Row) -> None:
    """In the long run: of ten checks with twenty comparisons each, one may fail by chance."""
    failed = sum(different(check(row, seed)) > twins.allowed(20) for seed in range(10))
    assert failed <= 1


def test_a_real_difference_is_not_missed(row: Row) -> None:
    assert different(check(row, 1, apart=1.3)) >= 18


def test_each_comparison_has_samples_of_its_own(row: Row) -> None:
    found = twins.comparisons(check(row, 1, n=10), "labrt", 10)
    assert [(each.n_a, each.n_b) for each in found] == [(10, 10)] * 20


@pytest.mark.parametrize(("count", "allowed"), [(1, 1), (20, 1), (39, 1), (40, 2)])
def test_one_in_twenty_may_be_called_different(count: int, allowed: int) -> None:
    assert twins.allowed(count) == allowed


@needs_cgroups
def test_the_verb_measures_both_in_turns_and_says_so_by_its_status(
    workload: Workload, nothing_left: None, tmp_path: Path
) -> None:
    few = ("--comparisons", "3", "--n", "8")
    done = bench("aa", *few, "--json", "--out", tmp_path)
    found = json.loads(done.stdout)
    assert len(found["comparisons"]) == 3
    assert done.returncode == (3 if found["different"] > 1 else 0), done.stderr
    rows, _ = read(tmp_path / "latest" / ROWS)
    totals = [row for row in rows if row.phase == "T0-T3" and not row.warmup]
    assert sorted(row.subject for row in totals) == ["process-a"] * 24 + ["process-b"] * 24
    for number in range(0, 48, 2):  # a round holds one start of each
        assert {row.subject for row in totals[number : number + 2]} == {"process-a", "process-b"}
    firsts = {row.subject for row in totals[::2]}
    assert len(firsts) == 2, "which of them comes first is random"


def test_an_unknown_subject_is_one_line(workload: Workload, tmp_path: Path) -> None:
    done = bench("aa", "--subject", "nothing", "--out", tmp_path)
    assert done.returncode == 1
    assert "choose from" in done.stderr
    assert done.stderr.count("\n") == 1
