"""The judges of the lesson "security" can reach each of their answers."""

from __future__ import annotations

import subprocess

import pytest

from labrt.lessons import observe
from labrt.lessons.course import security
from labrt.lessons.lesson import check_of, prediction


def test_the_judges_of_security() -> None:
    judge = prediction("security-p1").judge
    assert [judge(said=said) for said in ("0\nsecret", "0\ncat: Permission denied")] == ["a", "b"]
    judge = prediction("security-p2").judge
    answers = ("65534", "unshare: Operation not permitted", "Bad system call")
    assert [judge(said=said) for said in answers] == ["a", "b", "c"]
    judge = prediction("security-p3").judge
    assert [judge(said=f"status {n}\n") for n in (0, 1, 159)] == ["a", "b", "c"]


def test_only_known_capabilities_are_drawn() -> None:
    drawn = {name for own in range(100) for name in check_of("security-01").draw(own).split()}
    assert drawn == set(security.PIECES) <= set(security.NAMES)


@pytest.mark.parametrize(
    ("options", "told"),
    [
        (["--bounding-set", "-kill,-chown"], "CAP_CHOWN, CAP_KILL missing, no_new_privs not set"),
        (["--no-new-privs", "--bounding-set", "-kill"], "CAP_KILL missing, no_new_privs set"),
    ],
)
def test_half_of_the_second_exercise_is_told_as_half(options: list[str], told: str) -> None:
    words = ["unshare", "--user", "--map-root-user", "setpriv", *options, "sleep", "60"]
    with subprocess.Popen(words) as process:
        try:
            while observe.name(process.pid) != "sleep":
                assert process.poll() is None
            verdict = security.LESSON.checks[1].observe("CAP_KILL CAP_CHOWN")
        finally:
            process.kill()
    assert not verdict.passed
    assert told in verdict.saw
