"""The ledger: kept per student, whole after a crash, and nobody's entry is lost."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from labrt.errors import LabError
from labrt.lessons import ledger

ROOT = Path(__file__).parent.parent.parent.parent


def test_entries_come_back_in_order(student: str) -> None:
    ledger.record("prediction", "uts-p1", choice="a")
    ledger.record("check", "uts-01", passed=False)
    ledger.record("outcome", "uts-p1", seen="b")
    assert [entry["kind"] for entry in ledger.entries("uts-p1")] == ["prediction", "outcome"]
    assert ledger.entries("uts-01")[0]["passed"] is False


def test_the_seed_is_drawn_once_and_is_the_students_own(
    student: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = ledger.seed()
    ledger.record("begin", "uts")
    assert ledger.seed() == first
    monkeypatch.setenv("LAB_STUDENT", f"{student}-other")
    assert ledger.seed() != first


def test_only_its_owner_can_read_it(student: str) -> None:
    ledger.record("begin", "uts")
    assert ledger.path().stat().st_mode & 0o077 == 0
    assert ledger.path().parent.stat().st_mode & 0o077 == 0


def test_several_notebooks_write_in_turn(student: str) -> None:
    code = (
        "from labrt.lessons import ledger\nfor n in range(20): ledger.record('begin', 'uts', n=n)"
    )
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    writers = [
        subprocess.Popen([sys.executable, "-c", code], env=environment, cwd="/") for _ in range(3)
    ]
    assert [writer.wait(60) for writer in writers] == [0, 0, 0]
    assert len(ledger.entries("uts")) == 60


def test_it_is_whole_after_its_writer_was_killed(student: str) -> None:
    code = "from labrt.lessons import ledger\nwhile True: ledger.record('begin', 'uts'); print(1)"
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "PYTHONUNBUFFERED": "1"}
    with subprocess.Popen(
        [sys.executable, "-c", code], env=environment, cwd="/", stdout=subprocess.PIPE, text=True
    ) as writer:
        assert writer.stdout is not None
        for _ in range(20):
            writer.stdout.readline()
        writer.send_signal(signal.SIGKILL)
    json.loads(ledger.path().read_text())
    count = len(ledger.entries("uts"))
    assert count >= 20
    ledger.record("begin", "uts")  # a lock of the dead is no lock
    assert len(ledger.entries("uts")) == count + 1


def test_a_file_that_is_no_ledger_is_told_and_kept(student: str) -> None:
    ledger.seed()
    ledger.path().write_text("{ half")
    with pytest.raises(LabError, match="move the file away"):
        ledger.record("begin", "uts")
    assert ledger.path().read_text() == "{ half"


@pytest.mark.parametrize("name", ["../../etc/passwd", ".hidden", "a b"])
def test_a_name_that_is_no_file_name_is_refused(
    student: str, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LAB_STUDENT", name)
    with pytest.raises(LabError, match="LAB_STUDENT"):
        ledger.seed()
