"""bench/variants.py: combinations, and how they are called."""

from __future__ import annotations

import pytest

from bench.variants import Variant, crossed, differing, label, unusual

MIB = 2**20


def test_nothing_asked_for_is_one_variant_as_usual() -> None:
    assert crossed() == [Variant()]
    assert Variant().label == ""


def test_values_are_crossed() -> None:
    found = crossed(caches=["warm", "cold"], parallel=[1, 4], io=[])
    assert [(each.caches, each.parallel, each.io) for each in found] == [
        ("warm", 1, None),
        ("warm", 4, None),
        ("cold", 1, None),
        ("cold", 4, None),
    ]


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"caches": "cold"}, "cold"),
        ({"parallel": 4}, "4 at once"),
        ({"parallel": 1}, ""),
        ({"io": 10 * MIB}, "I/O 10 MiB/s"),
        ({"cpus": 2.0}, "2 CPUs"),
        ({"cpus": 0.5}, "0.500 CPU"),
        ({"caches": "cold", "parallel": 2, "memory": 64 * MIB}, "cold, 2 at once, 64 MiB"),
    ],
)
def test_what_is_not_usual_is_said(given: dict[str, object], said: str) -> None:
    assert Variant(**given).label == said  # type: ignore[arg-type]


def test_rows_that_do_not_tell_a_condition_have_the_usual() -> None:
    assert unusual({}) == []
    assert differing([{}, {"caches": "warm"}], ["caches"]) == []
    assert differing([{}, {"caches": "cold"}], ["caches"]) == ["caches"]


def test_the_usual_is_said_where_others_are_not() -> None:
    assert label({}, ["caches", "parallel", "io"]) == "warm, one at a time, no I/O limit"
