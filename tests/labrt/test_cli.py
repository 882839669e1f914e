"""The command line: statuses as Docker's, errors in one line, Ctrl-C leaves nothing. All of it in a
Python of its own, and again done by the fork server (test_forkserver.py)."""

from __future__ import annotations

import fcntl
import json
import os
import pty
import signal
import struct
import subprocess
import sys
import termios
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from labrt import cgroups, launching

ROOT = Path(__file__).parent.parent.parent

pytestmark = pytest.mark.usefixtures("nothing_left")
ALONE = [sys.executable, "-m", "labrt.cli"]
way = ALONE


@pytest.fixture(scope="module", autouse=True, params=["alone", "served"])
def _way(request: pytest.FixtureRequest, home: Path) -> Iterator[None]:
    global way
    way = ALONE if request.param == "alone" else [str(ROOT / ".venv/bin/labrt")]
    yield
    launching.end_fork_server()
    way = ALONE


@pytest.fixture(autouse=True)
def _server(_way: None) -> None:
    """`labrt clean` ends it."""
    if way != ALONE and not launching.fork_server_runs():
        labrt("forkserver")


def command(*arguments: str) -> list[str]:
    return [*way, *arguments]


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
        (("run", "busybox", ""), 127, "the image has no program ''"),
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


@contextmanager
def running() -> Iterator[subprocess.Popen[str]]:
    """`labrt run busybox`, once it is ready."""
    with subprocess.Popen(
        command("run", "busybox"), stdout=subprocess.PIPE, text=True, env=environment()
    ) as process:
        assert process.stdout is not None
        while process.stdout.readline() != "lab:ready\n":
            pass
        yield process


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_asked_to_end_it_ends_the_container(number: int) -> None:
    with running() as process:
        process.send_signal(number)
        # 0: the workload's own answer to SIGTERM; 130: the signal came while the start was still
        # being completed, which undoes it.
        assert process.wait(timeout=60) in (0, 130)


INTERRUPT_AN_IMPORT = """
import os, runpy, signal, sys

def interrupt(event, about):
    if event == "exec" and about[0].co_filename.endswith("labrt/commands/run.py"):
        os.kill(os.getpid(), signal.SIGINT)

sys.addaudithook(interrupt)
sys.argv = ["labrt", "run", "busybox", "true"]
runpy.run_module("labrt.cli", run_name="__main__")
"""


def test_asked_to_end_while_it_still_reads_its_own_code_it_says_so_in_one_line() -> None:
    done = subprocess.run(
        [sys.executable, "-c", INTERRUPT_AN_IMPORT],
        capture_output=True,
        text=True,
        timeout=60,
        env=environment(),
    )
    assert done.stderr == "labrt: interrupted; everything is undone\n"
    assert done.returncode == 128 + signal.SIGINT


def test_killed_it_takes_the_container_along_and_clean_finds_the_rest() -> None:
    with running() as process:
        process.kill()
        assert process.stdout is not None
        assert process.stdout.read() == ""  # its end of file: the container has ended
    removed = labrt("clean").stdout
    if way == ALONE:
        assert removed.startswith("removed lab-")  # else who has done it has undone it, too


def test_a_life_by_commands() -> None:
    polite = "trap 'exit 7' TERM; echo up; while :; do sleep 0.02; done"
    try:
        started = labrt("run", "-d", "--name", "web", "busybox", "sh", "-c", polite)
        assert (started.returncode, started.stderr) == (0, "")
        listed = [json.loads(line) for line in labrt("ps", "--json").stdout.splitlines()]
        assert [(one["id"], one["name"], one["state"]) for one in listed] == [
            (started.stdout.strip(), "web", "running")
        ]
        assert labrt("exec", "-w", "/tmp", "web", "pwd").stdout == "/tmp\n"
        assert labrt("exec", "web", "nosuch").returncode == 127
        assert "sleep" in labrt("top", "web").stdout
        assert labrt("stop", "web").stdout == "web\n"
        assert labrt("wait", "web").stdout == "7\n"
        assert "exited (7)" in labrt("ps", "-a").stdout
        assert labrt("logs", "web").stdout == "up\n"
        assert labrt("start", "web").stdout == "web\n"
        assert json.loads(labrt("inspect", "web").stdout)[0]["state"] == "running"
        refused = labrt("rm", "web")
        assert (refused.returncode, refused.stderr.count("\n")) == (1, 1)
    finally:
        assert labrt("rm", "--force", "web").stdout == "web\n"
    assert labrt("ps", "-aq").stdout == ""


def test_without_interactive_there_is_nothing_to_read() -> None:
    command_line = command("run", "busybox", "cat")  # options come before the last two
    for options, said in (([], ""), (["-i"], "typed")):
        done = subprocess.run(
            [*command_line[:-2], *options, *command_line[-2:]],
            input="typed",
            capture_output=True,
            text=True,
            timeout=60,
            env=environment(),
        )
        assert (done.stdout, done.returncode) == (said, 0)


def test_what_is_started_again_shows_only_what_it_writes_now() -> None:
    labrt("create", "--name", "again", "busybox", "sh", "-c", "echo $$ >> /n; wc -l < /n; exit 3")
    try:
        assert [labrt("start", "-a", "again").stdout for _ in range(2)] == ["1\n", "2\n"]
        assert labrt("logs", "again").stdout == "1\n2\n"
        assert labrt("logs", "--tail", "1", "again").stdout == "2\n"
        assert "not a number" in labrt("logs", "--tail", "-1", "again").stderr
        assert labrt("restart", "again").stdout == "again\n"
        assert labrt("wait", "again").stdout == "3\n"
        assert labrt("logs", "again").stdout == "1\n2\n3\n"
    finally:
        labrt("rm", "-f", "again")


def test_a_name_keeps_the_container_that_ran_in_the_foreground() -> None:
    labrt("run", "--name", "kept", "busybox", "sh", "-c", "exit 4")
    try:
        assert "exited (4)" in labrt("ps", "-a").stdout
    finally:
        labrt("rm", "kept")


def test_death_by_memory_is_told() -> None:
    if cgroups.unavailable():
        pytest.skip(f"limits need cgroups: {cgroups.unavailable()}")
    done = labrt("run", "-m", "20m", "busybox", "tail", "/dev/zero")
    assert done.returncode == 137
    assert "memory.max is reached" in done.stderr


class TestTerminal:
    def run(self, *arguments: str, typed: bytes = b"", size: tuple[int, int] = (33, 99)) -> str:
        """Run a command on a terminal of that size; return what it showed."""
        pid, master = pty.fork()
        if pid == 0:
            os.execve(way[0], command(*arguments), environment())
        fcntl.ioctl(master, termios.TIOCSWINSZ, struct.pack("4H", *size, 0, 0))
        shown = b""
        os.write(master, typed)
        try:
            while data := os.read(master, 4096):
                shown += data
        except OSError:
            pass  # EIO: it has ended (pty(7))
        os.close(master)
        os.waitpid(pid, 0)
        return shown.decode()

    def test_it_has_one_of_its_own_with_the_windows_size(self) -> None:
        script = "sleep 0.2; tty; stty size"
        assert self.run("run", "-it", "busybox", "sh", "-c", script).split() == [
            "/dev/pts/0",
            "33",
            "99",
        ]

    def test_control_c_goes_to_the_program_inside(self) -> None:
        script = "trap 'echo caught; exit 0' INT; echo on; while :; do sleep 0.02; done"
        pid, master = pty.fork()
        if pid == 0:
            os.execve(way[0], command("run", "-it", "busybox", "sh", "-c", script), environment())
        shown = b""
        while b"on" not in shown:
            shown += os.read(master, 4096)
        os.write(master, b"\x03")
        while b"caught" not in shown:
            shown += os.read(master, 4096)
        assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
        os.close(master)  # not before its end: that would be a hang-up (SIGHUP)

    def test_a_shell_attached_to_can_be_left_and_lives_on(self) -> None:
        labrt("run", "-dit", "--name", "shell", "busybox", "sh")
        try:
            pid, master = pty.fork()
            if pid == 0:
                os.execve(way[0], command("attach", "shell"), environment())
            os.write(master, b"echo $((6 * 7))\n")
            shown = b""
            while b"42" not in shown:
                shown += os.read(master, 4096)
            os.write(master, b"\x10\x11")
            assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
            os.close(master)
            assert labrt("ps", "-q").stdout.count("\n") == 1
        finally:
            labrt("rm", "-f", "shell")
