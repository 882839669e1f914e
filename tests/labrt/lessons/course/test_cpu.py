"""The judges of the lesson "cpu" can reach each of their answers."""

from __future__ import annotations

from dataclasses import fields

import pytest

from labrt.lessons.course import cpu
from labrt.lessons.lesson import prediction
from labrt.usage import Usage

NOTHING = dict.fromkeys(field.name for field in fields(Usage))


def looks(cpu_usec: int) -> list[Usage]:
    """Two looks, a second apart, and the CPU time used between them."""
    now = {"time": 1.0, "cpu_usec": cpu_usec, "oom_kills": 0, "pressure": {}}
    return [Usage(**NOTHING | now | {"time": 0.0, "cpu_usec": 0}), Usage(**NOTHING | now)]  # type: ignore[arg-type]


def test_the_judges_of_cpu() -> None:
    judge = prediction("cpu-p1").judge
    assert [judge(looks=looks(used)) for used in (990_000, 200_000, 0)] == ["a", "b", "c"]
    judge = prediction("cpu-p2").judge
    answers = [judge(light=light, heavy=heavy) for light, heavy in ((1, 1), (1, 3), (0, 3))]
    assert answers == ["a", "b", "c"]
    judge = prediction("cpu-p3").judge
    assert [judge(looks=looks(used)) for used in (790_000, 200_000)] == ["a", "b"]


@pytest.mark.parametrize(
    ("text", "percent"), [("20000 100000", 20), ("max 100000", float("inf")), ("4000 20000", 20)]
)
def test_percent_of_a_cpu(text: str, percent: float) -> None:
    assert cpu._percent(text) == percent
