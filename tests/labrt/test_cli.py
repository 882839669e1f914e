"""The command line: statuses as Docker's, errors in one line, Ctrl-C leaves nothing."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent.parent

pytestmark = pytest.mark.usefixtures("nothing_left")


def command(*arguments: str) -> list[str]:
    return [sys.executable, "-m", "labrt.cli", *arguments]


def environment() -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": str(ROOT)}


def labrt(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command(*arguments), capture_output=True, text=True, timeout=60, env=environment()
    )


def test_run_passes_on_output_and_status() -> None:
    done = labrt("run", "busybox", "sh", "-c", "echo out; echo err >&2; exit 3")
    assert (done.stdout, done.stderr, done.returncode) == ("out\n", "err\n", 3)


@pytest.mark.parametrize(
    ("arguments", "status", "said"),
    [
        (("run", "nosuch"), 125, "no such image in the store"),
        (("run", "-m", "abc", "busybox"), 125, "not a size"),
        (("run", "busybox", "nosuch"), 127, "the image has no program 'nosuch'"),
        (("run", "busybox", "/etc"), 126, "not executable"),
    ],
)
def test_an_error_is_one_line_with_dockers_status(
    arguments: tuple[str, ...], status: int, said: str
) -> None:
    done = labrt(*arguments)
    assert done.returncode == status
    assert done.stderr.count("\n") == 1
    assert done.stderr.startswith("labrt: ")
    assert said in done.stderr


def test_explain_prints_every_step_and_does_nothing() -> None:
    done = labrt("explain", "busybox", "true")
    assert done.returncode == 0
    for name, man in (
        ("Clone", "clone3(2)"),
        ("PivotRoot", "pivot_root(2)"),
        ("Exec", "execve(2)"),
    ):
        assert any(name in line and man in line for line in done.stdout.splitlines()), name


def test_trace_tells_each_steps_time_in_order() -> None:
    done = labrt("run", "--trace", "busybox", "true")
    rows = [line.split() for line in done.stderr.splitlines()[1:]]
    begun = [float(row[0]) for row in rows]
    assert begun == sorted(begun)
    assert [row[-1] for row in rows][-1] == "execve"


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_asked_to_end_it_ends_the_container(number: int) -> None:
    with subprocess.Popen(
        command("run", "busybox"), stdout=subprocess.PIPE, text=True, env=environment()
    ) as process:
        assert process.stdout is not None
        while process.stdout.readline() != "lab:ready\n":
            pass
        process.send_signal(number)
        # 0: the workload's own answer to SIGTERM; 130: the signal came while the start was still
        # being completed, which undoes it.
        assert process.wait(timeout=60) in (0, 130)


def test_killed_it_takes_the_container_along_and_clean_finds_the_rest() -> None:
    with subprocess.Popen(
        command("run", "busybox"), stdout=subprocess.PIPE, text=True, env=environment()
    ) as process:
        assert process.stdout is not None
        while process.stdout.readline() != "lab:ready\n":
            pass
        process.kill()
        assert process.stdout.read() == ""  # its end of file: the container has ended
    assert labrt("clean").stdout.startswith("removed lab-")
