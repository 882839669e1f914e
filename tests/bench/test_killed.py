"""bench/killed.py: what a killed bench has left goes once nobody else may have instances. (What of
each subject: subjects/test_containers.py.)"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent.parent
HOLDS = (
    "import time; from bench import killed; killed.hold(); print('up', flush=True); time.sleep(60)"
)
SUPERVISED = (sys.executable, "-m", "bench.supervisor", "--")


@pytest.fixture
def environment() -> Iterator[dict[str, str]]:
    """Of a lab that nobody else uses."""
    with tempfile.TemporaryDirectory(prefix="lab-killed-") as folder:
        own = {"LAB_HOME": f"{folder}/home", "LAB_RUN": f"{folder}/run", "PYTHONPATH": str(ROOT)}
        yield {**os.environ, **own, "LAB_ACCEL": "tcg"}  # else the supervisor boots a guest to see


@contextmanager
def holding(environment: dict[str, str], *before: str) -> Iterator[subprocess.Popen[str]]:
    with subprocess.Popen(
        [*before, sys.executable, "-c", HOLDS],
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "up\n"
        yield process
        process.terminate()


def bundle(environment: dict[str, str]) -> Path:
    """Make what bubblewrap's subject leaves when it is killed."""
    folder = Path(environment["LAB_RUN"]) / "bwrap-lab-left"
    folder.mkdir()
    return folder


def locks(environment: dict[str, str]) -> list[str]:
    return os.listdir(Path(environment["LAB_RUN"]) / "benches")


def removed(environment: dict[str, str]) -> str:
    done = subprocess.run(
        [sys.executable, "-m", "bench.killed"],
        env=environment,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 0
    return done.stderr


def test_who_ends_in_order_leaves_no_trace(environment: dict[str, str]) -> None:
    done = subprocess.run(
        [sys.executable, "-c", "from bench import killed; killed.hold()"],
        env=environment,
        timeout=60,
        check=True,
        capture_output=True,
    )
    assert done.stderr == b""
    assert locks(environment) == []


def test_a_killed_ones_is_removed_once_nobody_lives(environment: dict[str, str]) -> None:
    with holding(environment) as living:
        with holding(environment) as one:
            left = bundle(environment)
            one.kill()
        assert removed(environment) == "", "it may be the living one's"
        assert left.exists()
        living.kill()
    assert "container lab-left" in removed(environment)
    assert not left.exists()
    assert locks(environment) == []
    assert removed(environment) == ""


def test_the_next_one_removes_it_before_it_begins(environment: dict[str, str]) -> None:
    with holding(environment) as one:
        left = bundle(environment)
        one.kill()
    with holding(environment) as another:
        assert not left.exists()
        another.kill()
        assert another.stderr is not None
        assert "container lab-left" in another.stderr.read()


def test_its_supervisor_removes_it_at_once(environment: dict[str, str]) -> None:
    with holding(environment, *SUPERVISED) as supervisor:
        left = bundle(environment)
        (pid,) = locks(environment)
        os.kill(int(pid), signal.SIGKILL)
        assert supervisor.wait(60) == 128 + signal.SIGKILL
    assert not left.exists()
