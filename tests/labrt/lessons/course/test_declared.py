"""The lesson "declared": its judges can reach each of their answers; its checks tell a container
that was kept from one that was made anew."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

import labrt
from labrt.lessons import checks, declared
from labrt.lessons.lesson import prediction

FRONT, BACK = "pid 7, started at tick 100", "pid 8, started at tick 101"
BOTH = {"front": FRONT, "back": BACK}
ONE = """
[{name}]
image = "busybox"
command = ["sleep", "60"]
env = ["PLACE={place}"]
stop-timeout = 0
"""
Places = Callable[[str, str], None]


def test_the_judge_of_declared_p1() -> None:
    judge = prediction("declared-p1").judge
    assert judge(before=BOTH, after={"front": "pid 9", "back": "pid 10"}) == "a"
    assert judge(before=BOTH, after=BOTH | {"third": "pid 9", "fourth": "pid 10"}) == "b"
    assert judge(before=BOTH, after=dict(BOTH)) == "c"


@pytest.mark.parametrize("identity", ["declared-p2", "declared-p3"])
def test_the_judges_about_one_container(identity: str) -> None:
    judge = prediction(identity).judge
    assert judge(before=BOTH, after={"front": FRONT}) == "a"
    again = "pid 8, started at tick 900"  # a pid may be used again
    assert judge(before=BOTH, after=BOTH | {"back": again}) == "b"
    assert judge(before=BOTH, after={"front": "pid 9", "back": "pid 10"}) == "c"


@pytest.fixture
def places(student: str, nothing_left: None) -> Iterator[Places]:
    """Apply a file of two containers, at the two places."""
    file = declared.folder() / "mine.toml"

    def apply(one: str, two: str) -> None:
        file.write_text(ONE.format(name="one", place=one) + ONE.format(name="two", place=two))
        labrt.apply(file)

    yield apply
    labrt.clean_up()


def said(identity: str) -> str:
    return labrt.check(identity).text


def test_one_replaced_after_both_were_checked_passes(places: Places) -> None:
    first, moved = checks.draw("declared-01"), checks.draw("declared-02")
    places(first, "elsewhere")
    assert f"mine.toml: {first}, elsewhere" in said("declared-01")
    places(first, moved)
    assert "declared-01 hasn't passed yet" in said("declared-02")
    places(first, first)
    assert "Check declared-01: passed" in said("declared-01")
    places(first, moved)
    assert "Check declared-02: passed" in said("declared-02")


def test_both_made_anew_is_told_and_can_be_done_over(places: Places) -> None:
    first, moved = checks.draw("declared-01"), checks.draw("declared-02")
    places(first, first)
    assert "passed" in said("declared-01")
    places("elsewhere", "elsewhere")
    places(first, moved)
    told, _, saw = said("declared-02").partition("saw:")
    assert "not yet" in told and saw.count("started since") == 2
    places(first, first)
    assert "passed" in said("declared-01")
    places(moved, first)
    assert "Check declared-02: passed" in said("declared-02")
