"""Checks look at the kernel: no way to the goal is wrong, and nothing but the goal is right."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

import labrt
from labrt.errors import LabError
from labrt.lessons import checks, ledger
from labrt.lessons.lesson import check_of

pytestmark = pytest.mark.usefixtures("student", "nothing_left")


@pytest.fixture(autouse=True)
def no_patience(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(checks, "PATIENCE_SECONDS", 0.0)


@contextmanager
def named_by_hand(name: str) -> Iterator[int]:
    """A process in a uts namespace of its own, made without labrt."""
    script = f"hostname {name} && echo named && exec sleep 600"
    command = ["unshare", "--user", "--map-root-user", "--uts", "sh", "-c", script]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None and process.stdout.readline() == b"named\n"
        try:
            yield process.pid
        finally:
            process.kill()


def passes(identity: str) -> bool:
    told = labrt.check(identity).text
    assert told.startswith(f"Check {identity}: "), told
    assert ledger.entries(identity)[-1]["passed"] == ("passed" in told.splitlines()[0])
    return "passed" in told.splitlines()[0]


def test_first_01_wants_a_container_that_runs_the_drawn_command() -> None:
    seconds = labrt.draw("first-01")
    assert not passes("first-01")
    with labrt.run("busybox", ["sleep", "600"]):
        assert not passes("first-01")
    with labrt.run("busybox", ["sleep", seconds]):
        assert passes("first-01")
    assert not passes("first-01")


def test_first_01_is_not_satisfied_by_a_process_outside_a_container() -> None:
    with subprocess.Popen(["sleep", labrt.draw("first-01")]) as process:
        assert not passes("first-01")
        process.kill()


def test_uts_01_wants_the_drawn_name_in_a_container() -> None:
    with labrt.run("busybox", ["sleep", "600"], hostname="box"):
        assert not passes("uts-01")
        assert "with the host name box" in labrt.check("uts-01").text
    with labrt.run("busybox", ["sleep", "600"], hostname=labrt.draw("uts-01")):
        assert passes("uts-01")
    with named_by_hand(labrt.draw("uts-01")):
        assert not passes("uts-01")


def test_uts_02_wants_the_drawn_name_without_labrt() -> None:
    name = labrt.draw("uts-02")
    assert not passes("uts-02")
    with named_by_hand("other"):
        assert not passes("uts-02")
        assert "other in uts:[" in labrt.check("uts-02").text
    with named_by_hand(name):
        assert passes("uts-02")
    with labrt.run("busybox", ["sleep", "600"], hostname=name):
        assert not passes("uts-02")
        assert "labrt container's" in labrt.check("uts-02").text


def test_a_check_waits_a_moment_for_what_has_just_been_started(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(checks, "PATIENCE_SECONDS", 20.0)
    script = f"sleep 0.3; hostname {labrt.draw('uts-02')}; exec sleep 600"
    command = ["unshare", "--user", "--map-root-user", "--uts", "sh", "-c", script]
    with subprocess.Popen(command) as process:
        try:
            assert passes("uts-02")
        finally:
            process.kill()


def test_hints_escalate_with_the_attempts_and_begin_anew_after_success() -> None:
    hints = check_of("uts-01").hints
    for hint in (*hints, hints[-1]):
        assert hint in labrt.check("uts-01").text
    with labrt.run("busybox", ["sleep", "600"], hostname=labrt.draw("uts-01")):
        assert passes("uts-01")
    assert hints[0] in labrt.check("uts-01").text


def test_a_failed_check_tells_expected_and_seen() -> None:
    told = labrt.check("uts-01").text
    assert f"expected: a running container with the host name {labrt.draw('uts-01')}" in told
    assert "saw:      no running container" in told


def test_the_drawn_value_depends_on_the_student(monkeypatch: pytest.MonkeyPatch) -> None:
    drawn = set()
    for number in range(5):
        monkeypatch.setenv("LAB_STUDENT", f"one-of-five-{number}-{os.getpid()}")
        drawn.add(labrt.draw("uts-01"))
        assert labrt.draw("uts-01") in drawn
    assert len(drawn) > 1


def test_an_unknown_check_names_those_there_are() -> None:
    with pytest.raises(LabError, match="uts-01, uts-02"):
        labrt.check("uts-99")
