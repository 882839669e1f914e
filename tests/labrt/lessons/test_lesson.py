"""Every lesson of the course is well formed, and its judges can reach each of their answers."""

from __future__ import annotations

import pytest

from labrt.lessons.course import first, uts
from labrt.lessons.lesson import COURSE, check_of, lesson, prediction


@pytest.mark.parametrize("key", COURSE)
def test_ids_begin_with_the_lessons_key_and_lead_back_to_their_part(key: str) -> None:
    found = lesson(key)
    for item in found.predictions:
        assert item.id.startswith(f"{key}-p")
        assert prediction(item.id) is item
    for check in found.checks:
        assert check.id.startswith(f"{key}-")
        assert check_of(check.id) is check


@pytest.mark.parametrize("key", COURSE)
def test_every_check_has_hints_that_escalate_and_hold_no_code(key: str) -> None:
    for check in lesson(key).checks:
        assert len(check.hints) >= 3
        assert len(set(check.hints)) == len(check.hints)
        for hint in check.hints:
            assert not any(code in hint for code in ("labrt.run", "hostname=", "Popen(", "--uts"))


@pytest.mark.parametrize("key", COURSE)
def test_draws_are_the_same_for_one_student_and_differ_among_thirty(key: str) -> None:
    for check in lesson(key).checks:
        assert check.draw(12345) == check.draw(12345)
        drawn = {check.draw(number * 7919) for number in range(30)}
        assert len(drawn) > 25


def test_the_judges_of_first() -> None:
    judge = prediction("first-p1").judge
    assert [judge(milliseconds=ms) for ms in (9000, 900, 9)] == ["a", "b", "c"]
    judge = prediction("first-p2").judge
    assert [judge(pids=pids) for pids in ([], [7, 7], [700, 1])] == ["a", "b", "c"]
    assert first.LESSON.key == "first"


def test_the_judges_of_uts() -> None:
    judge = prediction("uts-p1").judge
    assert judge(host="lab 6.1", container="box 5.9") == "a"
    assert judge(host="lab 6.1", container="box 6.1\n") == "b"
    assert judge(host="lab 6.1", container="lab 6.1") == "c"
    judge = prediction("uts-p2").judge
    assert [judge(said=s, host="lab", container="box") for s in ("lab", "box", "")] == list("abc")
    judge = prediction("uts-p3").judge
    assert judge(refused=False, before="lab", after="lab") == "a"
    assert judge(refused=False, before="lab", after="box") == "b"
    assert judge(refused=True, before="lab", after="lab") == "c"
    assert uts.LESSON.key == "uts"
