"""Every lesson of the course is well formed, and its judges can reach each of their answers."""

from __future__ import annotations

import re

import pytest

from labrt.lessons.lesson import check_of, keys, lesson, lessons, prediction


@pytest.mark.parametrize("key", keys())
def test_ids_begin_with_the_lessons_key_and_lead_back_to_their_part(key: str) -> None:
    found = lesson(key)
    for item in found.predictions:
        assert item.id.startswith(f"{key}-p")
        assert prediction(item.id) is item
    for check in found.checks:
        assert check.id.startswith(f"{key}-")
        assert check_of(check.id) is check


@pytest.mark.parametrize("key", keys())
def test_every_check_has_hints_that_escalate_and_hold_no_code(key: str) -> None:
    for check in lesson(key).checks:
        assert len(check.hints) >= 3
        assert len(set(check.hints)) == len(check.hints)
        for hint in check.hints:
            assert not any(code in hint for code in ("labrt.run", "hostname=", "Popen(", "--uts"))


@pytest.mark.parametrize("key", keys())
def test_draws_are_the_same_for_one_student_and_differ_among_thirty(key: str) -> None:
    for check in lesson(key).checks:
        assert check.draw(12345) == check.draw(12345)
        drawn = {check.draw(number * 7919) for number in range(30)}
        # What the kernel must count up to (processes killed, a weight) can't have many values.
        counted = all(value.isdigit() for value in drawn)
        assert len(drawn) > (4 if counted else 25)


def test_the_course_is_in_the_order_of_the_notebooks() -> None:
    numbers = [found.number for found in lessons()]
    assert numbers == sorted(set(numbers)), "two lessons with one number"


@pytest.mark.parametrize("key", keys())
def test_claims_are_named_by_their_numbers(key: str) -> None:
    for claim in lesson(key).claims:
        assert re.fullmatch(r"C[012]\d", claim)
