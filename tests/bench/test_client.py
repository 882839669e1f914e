"""bench/client.py: a command whose end is an event."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Iterator

import pytest

from bench.client import Client, ended


@pytest.fixture
def null() -> Iterator[int]:
    with open(os.devnull, "r+b") as file:
        yield file.fileno()


def test_its_exit_status_is_told_again_and_again(null: int) -> None:
    client = Client(["sh", "-c", "exit 3"], null)
    assert client.wait(10) == 3
    assert client.wait(0) == 3
    assert not client.alive


def test_one_that_runs_on_is_none_yet_and_can_be_killed(null: int) -> None:
    client = Client(["sleep", "60"], null)
    assert client.wait(0.01) is None
    assert client.alive
    client.kill()
    assert client.wait(0) == -signal.SIGKILL
    client.kill()


def test_its_end_is_noticed_at_once(null: int) -> None:
    client = Client(["sleep", "0.2"], null)
    began = time.monotonic()
    assert client.wait(60) == 0
    assert time.monotonic() - began < 30


def test_ctrl_c_does_not_reach_it(null: int) -> None:
    client = Client(["sleep", "60"], null)
    assert os.getpgid(client.pid) == client.pid != os.getpgid(0)
    client.kill()


def test_a_command_that_is_not_there_is_told(null: int) -> None:
    with pytest.raises(FileNotFoundError):
        Client(["/nonexistent/command"], null)


def test_a_pidfd_tells_of_any_process() -> None:
    with subprocess.Popen(["sleep", "60"]) as sleeper:
        pidfd = os.pidfd_open(sleeper.pid)
        assert not ended(pidfd, 0.01)
        sleeper.kill()
        assert ended(pidfd, 10)
        os.close(pidfd)
