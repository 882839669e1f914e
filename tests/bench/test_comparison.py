"""bench/comparison.py and the verb: only like with like, and a verdict that CI can act on."""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from pathlib import Path

import pytest

from bench import comparison
from bench.__main__ import main
from bench.observations import ROWS, Log, Observation
from bench.statistics import Unfair
from tests.bench.conftest import CONDITIONS

Row = Callable[..., Observation]


def samples(
    row: Row, middle: float, n: int = 30, seed: int = 1, **given: object
) -> list[Observation]:
    drawn = random.Random(seed)
    return [row(middle * drawn.lognormvariate(0, 0.05), sample=k, **given) for k in range(n)]


def only(lines: list[comparison.Line]) -> comparison.Line:
    (line,) = lines
    return line


def test_a_slower_run_is_worse_and_a_faster_one_better(row: Row) -> None:
    base, slow = samples(row, 1.0), samples(row, 1.3, seed=2)
    line = only(comparison.compare(base, slow))
    assert line.verdict == "worse"
    assert 20 < line.worse_by < 40
    assert only(comparison.compare(slow, base)).verdict == "better"


def test_chance_is_no_difference(row: Row) -> None:
    line = only(comparison.compare(samples(row, 1.0), samples(row, 1.0, seed=3)))
    assert line.verdict == "alike"
    assert not line.worse_than(0)


def test_few_samples_that_show_no_difference_show_nothing(row: Row) -> None:
    """Three of each can't be told apart, however far they are from each other."""
    line = only(comparison.compare(samples(row, 1.0, 3), samples(row, 9.0, 3)))
    assert line.verdict == "too few"


def test_a_number_that_is_often_zero_is_not_tested_and_the_others_are(row: Row) -> None:
    """As the time between two lines that mostly arrive in one read."""
    often = [row(value, phase="T2-T3", sample=n) for n, value in enumerate([0.0] * 5 + [7e-5] * 7)]
    one, other = comparison.compare([*often, *samples(row, 1.0)], [*often, *samples(row, 1.0)])
    assert one.verdict == "not tested: many samples are zero"
    assert other.verdict == "alike"
    assert [line[-1] for line in comparison.table([one, other]).rows] == [one.verdict, "alike"]


def test_a_difference_too_small_to_matter_is_none(row: Row) -> None:
    """However many samples prove it."""
    line = only(comparison.compare(samples(row, 1.0, 800), samples(row, 1.03, 800, seed=2)))
    assert line.found is not None and line.found.p < 0.001
    assert line.verdict == "alike"


def test_more_is_better_where_that_is_so(row: Row) -> None:
    rate = {"metric": "rate", "unit": "B/s", "experiment": "disk", "phase": "write"}
    line = only(comparison.compare(samples(row, 1.0, **rate), samples(row, 1.3, seed=2, **rate)))
    assert line.verdict == "better"


UNLIKE = {
    "digest": "sha256:" + "cd" * 32,
    "cpus": 2.0,
    "memory": 2**30,
    "workload": "hash",
    "accelerator": "kvm",
    "machine": "microvm",
    "posture": "privileged",
    "through": "worker",
}


@pytest.mark.parametrize("condition", UNLIKE)
def test_unlike_rows_are_not_compared_and_it_is_said_why(row: Row, condition: str) -> None:
    b = samples(row, 2.0, **{condition: UNLIKE[condition]})
    line = only(comparison.compare(samples(row, 1.0), b))
    assert line.verdict == f"unlike: {condition} differs"
    assert line.found is None


def test_what_a_run_varies_makes_numbers_of_their_own(row: Row) -> None:
    a = [*samples(row, 1.0, caches="warm"), *samples(row, 3.0, caches="cold")]
    b = [*samples(row, 1.0, caches="warm"), *samples(row, 6.0, caches="cold", seed=2)]
    lines = comparison.compare(a, b)
    assert [(comparison.name(line.number), line.verdict) for line in lines] == [
        ("labrt startup T0-T3", "alike"),
        ("labrt startup T0-T3 cold", "worse"),
    ]


def test_two_hosts_are_refused_unless_asked_for(row: Row) -> None:
    a, b = samples(row, 1.0), samples(row, 2.0, host="another")
    with pytest.raises(Unfair, match="host differs"):
        comparison.compare(a, b)
    assert only(comparison.compare(a, b, across_hosts=True)).verdict == "worse"


def test_what_only_fails_now_is_worse_than_any_percentage(row: Row) -> None:
    line = only(comparison.compare(samples(row, 1.0), [row(None), row(None)]))
    assert (line.verdict, line.worse_than(1000)) == ("fails", True)


def test_failures_are_counted_on_both_sides(row: Row) -> None:
    lines = comparison.compare([*samples(row, 1.0), row(None)], samples(row, 1.0, seed=2))
    assert comparison.table(lines).rows[0][5] == "30 / 30"
    assert "labrt startup T0-T3: 1 failed in A, 0 in B." in comparison.table(lines).notes


@pytest.mark.parametrize("n", [0, 1])
def test_too_few_samples_are_no_comparison(row: Row, n: int) -> None:
    line = only(comparison.compare(samples(row, 1.0), samples(row, 9.0, n)))
    assert line.found is None
    assert line.verdict == ("only in A" if n == 0 else "not tested: 1 and 30 samples")


def test_points_of_a_curve_and_warm_ups_are_left_out(row: Row) -> None:
    ramp = samples(row, 1.0, experiment="density", phase="T0-T3")
    assert comparison.compare(ramp, [*ramp, row(9.0, warmup=True)]) == []


# The verb


@pytest.fixture
def runs(tmp_path: Path, row: Row) -> Callable[..., str]:
    def make(name: str, *rows: Observation) -> str:
        (tmp_path / name).mkdir()
        with Log(tmp_path / name / ROWS) as log:
            for each in rows:
                log.append(each)
        return str(tmp_path / name)

    return make


def test_ci_learns_by_the_exit_status(
    runs: Callable[..., str], row: Row, capsys: pytest.CaptureFixture[str]
) -> None:
    a, b = runs("a", *samples(row, 1.0)), runs("b", *samples(row, 1.3, seed=2))
    assert main(["compare", a, b]) == 0
    assert main(["compare", a, b, "--fail-above", "50"]) == 0
    assert main(["compare", a, b, "--fail-above", "10"]) == 3
    assert main(["compare", b, a, "--fail-above", "0"]) == 0
    assert "labrt startup T0-T3: worse" in capsys.readouterr().err


def test_as_json(runs: Callable[..., str], row: Row, capsys: pytest.CaptureFixture[str]) -> None:
    a, b = runs("a", *samples(row, 1.0)), runs("b", *samples(row, 1.3, seed=2), row(None))
    assert main(["compare", a, b, "--json"]) == 0
    (line,) = json.loads(capsys.readouterr().out)["lines"]
    assert (line["subject"], line["verdict"], line["failed_b"]) == ("labrt", "worse", 1)
    assert line["low"] < line["ratio"] < line["high"]


def test_damaged_rows_and_hosts_are_told(
    runs: Callable[..., str], row: Row, capsys: pytest.CaptureFixture[str]
) -> None:
    a, b = runs("a", *samples(row, 1.0)), runs("b", *samples(row, 1.3, host="another"))
    assert main(["compare", a, b]) == 1
    shown = capsys.readouterr().err
    assert CONDITIONS["host"] in shown and "another" in shown
    with (Path(a) / ROWS).open("a") as stream:
        stream.write("cut sho")
    assert main(["compare", a, b, "--across-hosts"]) == 0
    shown = capsys.readouterr().out
    assert "The hosts differ" in shown
    assert "left out: cut short: no end of line" in " ".join(shown.split())


def test_nothing_comparable_is_one_line(
    runs: Callable[..., str], row: Row, capsys: pytest.CaptureFixture[str]
) -> None:
    a, b = runs("a", *samples(row, 1.0)), runs("b", *samples(row, 1.0, digest="another"))
    assert main(["compare", a, b]) == 1
    assert capsys.readouterr().err.count("\n") == 1
    assert main(["compare", a, runs("c")]) == 1
    assert main(["compare", a, f"{Path(b).parent}/*"]) == 1
    assert "it means 3 runs. Remedy: name one of them" in capsys.readouterr().err
