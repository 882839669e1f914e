"""bench/units.py: its docstrings hold examples, and they are right."""

from __future__ import annotations

import doctest

import pytest

from bench import units


def test_the_examples_are_right() -> None:
    found = doctest.testmod(units)
    assert found.attempted >= 4
    assert found.failed == 0


@pytest.mark.parametrize(
    ("value", "unit", "text"),
    [
        (0, "s", "0 s"),
        (0.0000000004, "s", "0.400 ns"),
        (59.96, "s", "60.0 s"),
        (3600, "s", "3600 s"),
        (-1536, "B", "-1.50 KiB"),
        (1023, "B", "1023 B"),
        (2**31, "B", "2 GiB"),
        (2.5, "instances", "2.50 instances"),
    ],
)
def test_values_read_well(value: float, unit: str, text: str) -> None:
    assert units.text(value, unit) == text
