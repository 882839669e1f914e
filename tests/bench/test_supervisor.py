"""bench/supervisor.py: the parent that reaps, forwards, hides and clears up."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent.parent


def supervised(*command: str) -> list[str]:
    return [sys.executable, "-m", "bench.supervisor", "--", *command]


def run(*command: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        supervised(*command), capture_output=True, text=True, timeout=60, env=environment()
    )


def environment() -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": str(ROOT)}


def gone(pid: int, timeout: float = 20.0) -> bool:
    """Whether a process that isn't ours ends in time (a zombie counts as ended)."""
    deadline = time.monotonic() + timeout
    while time.monotonic() < deadline:
        try:
            if Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z":
                return True
        except (FileNotFoundError, ProcessLookupError):
            return True
        time.sleep(0.02)
    return False


@pytest.mark.parametrize(("script", "status"), [("exit 0", 0), ("exit 7", 7), ("kill -9 $$", 137)])
def test_its_status_is_the_commands(script: str, status: int) -> None:
    assert run("sh", "-c", script).returncode == status


def test_a_command_that_is_not_there_is_one_line() -> None:
    done = run("/no/such/program")
    assert done.returncode == 127
    assert done.stderr.startswith("lab: run /no/such/program: ENOENT")


def test_without_a_command_it_tells_how_it_is_used() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "bench.supervisor"],
        capture_output=True,
        text=True,
        env=environment(),
    )
    assert (done.returncode, done.stderr[:6]) == (2, "usage:")


def test_it_ends_the_orphans_that_the_command_leaves() -> None:
    done = run("sh", "-c", "(setsid sleep 300 >/dev/null 2>&1 & echo $!)")
    assert gone(int(done.stdout), timeout=0.1)


def test_it_ends_them_too_when_the_command_is_killed() -> None:
    script = "(setsid sleep 300 >/dev/null 2>&1 & echo $!); kill -9 $$"
    done = run("sh", "-c", script)
    assert done.returncode == 137
    assert done.stderr.startswith("lab: it was killed\n")
    assert gone(int(done.stdout), timeout=0.1)


def test_a_signal_reaches_the_command() -> None:
    script = "trap 'exit 3' TERM; echo up; while :; do sleep 0.05; done"
    with subprocess.Popen(
        supervised("sh", "-c", script), stdout=subprocess.PIPE, text=True, env=environment()
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "up\n"
        process.send_signal(signal.SIGTERM)
        assert process.wait(timeout=20) == 3


@pytest.mark.parametrize("which", ["outer", "between"])
def test_killed_it_takes_the_command_and_its_orphans_along(which: str) -> None:
    script = "(setsid sleep 300 >/dev/null 2>&1 & echo $!); echo $PPID; echo $$; exec sleep 300"
    with subprocess.Popen(
        supervised("sh", "-c", script), stdout=subprocess.PIPE, text=True, env=environment()
    ) as process:
        assert process.stdout is not None
        orphan, between, command = (int(process.stdout.readline()) for _ in range(3))
        os.kill(process.pid if which == "outer" else between, signal.SIGKILL)
        assert gone(command)
        assert gone(orphan)
