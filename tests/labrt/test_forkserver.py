"""labrt/forkserver.py, entry.c, served.c: commands are done by forks of a process that has read all
modules, and nobody can tell but by the clock. (What the commands do by it: test_cli.py.)"""

from __future__ import annotations

import json
import os
import pty
import resource
import signal
import socket
import subprocess
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import psutil
import pytest

from labrt import inherited, launcher, launching
from labrt.errors import LabError
from tests.labrt.bundle.bundles import PATIENT, Bundles
from tests.labrt.test_handle import until

ROOT = Path(__file__).parent.parent.parent
LABRT = str(ROOT / ".venv/bin/labrt")
OCI = str(ROOT / ".venv/bin/labrt-oci")
# The program's own answer to SIGTERM; or 130: the command was still completing the start, and has
# undone it.
ENDED = (7, 130)
HOLD = "trap 'exit 7' TERM; echo up; while :; do sleep 0.02; done"

pytestmark = pytest.mark.usefixtures("nothing_left")


@pytest.fixture(autouse=True)
def server(home: Path) -> Iterator[psutil.Process]:
    """A fork server that has done a command."""
    try:
        labrt("forkserver")
        labrt("help")
        yield process()
    finally:
        launching.end_fork_server()


def process() -> psutil.Process:
    """Return the fork server's process."""
    (found,) = filter(_is_ours, psutil.process_iter())
    return found


def commands(server: psutil.Process) -> list[psutil.Process]:
    """Return its children that do a command; one more is ready for the next."""
    return [child for child in server.children() if child.name() != "labrt-stand-in"]


def _is_ours(process: psutil.Process) -> bool:
    try:
        is_one = process.name() == "labrt-forks"
        return is_one and process.environ().get("LAB_RUN") == os.environ["LAB_RUN"]
    except psutil.NoSuchProcess:
        return False  # an earlier one, just ending


def labrt(*words: str, **how: object) -> subprocess.CompletedProcess[str]:
    options = {"capture_output": True, "text": True, "timeout": 60, **how}
    return subprocess.run([LABRT, *words], **options)  # type: ignore[call-overload]


@pytest.fixture
def held() -> Iterator[subprocess.Popen[str]]:
    """`labrt run` of a program that runs until it is asked to end."""
    command = [LABRT, "run", "busybox", "sh", "-c", HOLD]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as running:
        assert running.stdout is not None
        assert running.stdout.readline() == "up\n"
        yield running
        running.terminate()
        running.wait(30)


def test_a_fork_does_it_and_the_program_only_waits(
    server: psutil.Process, held: subprocess.Popen[str]
) -> None:
    (fork,) = commands(server)
    assert fork.name() == "labrt"
    assert len(fork.children()) == 1, "the container is its child"
    assert psutil.Process(held.pid).children() == []
    assert Path(f"/proc/{held.pid}/exe").readlink() == Path(LABRT), "no Python has begun"


INSIDE = """
umask; ulimit -n; cat /proc/self/oom_score_adj /proc/self/coredump_filter
set -- $(cat /proc/self/stat); shift 18; echo nice $1
grep -E 'Sig(Ign|Blk)|Cpus_allowed:|CapBnd|NoNewPrivs' /proc/self/status
ls /proc/self/fd
"""
CALLERS: dict[str, Callable[[], object]] = {
    "as it is": lambda: None,
    "fewer files": lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (333, 333)),
    "a signal ignored": lambda: signal.signal(signal.SIGHUP, signal.SIG_IGN),
    "a signal blocked": lambda: signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGUSR2]),
    "nice": lambda: os.nice(3),
    "one CPU": lambda: os.sched_setaffinity(0, [min(os.sched_getaffinity(0))]),
    "easily killed for memory": lambda: Path("/proc/self/oom_score_adj").write_text("77"),
    "dumps all": lambda: Path("/proc/self/coredump_filter").write_text("0xff"),
    "in no session": os.setsid,
    "umask": lambda: os.umask(0o027),
}


@pytest.mark.parametrize("caller", CALLERS)
def test_a_container_has_of_its_caller_what_it_would_have_without(caller: str) -> None:
    def seen() -> str:
        done = labrt("run", "busybox", "sh", "-c", INSIDE, preexec_fn=CALLERS[caller])
        assert (done.returncode, done.stderr) == (0, "")
        return str(done.stdout)

    served = seen()
    launching.end_fork_server()
    assert served == seen()


def test_the_words_the_folder_and_the_environment_are_the_callers(tmp_path: Path) -> None:
    assert labrt("save", "-o", "saved.tar", "busybox", cwd=tmp_path).stderr == ""
    assert os.listdir(tmp_path) == ["saved.tar"]
    elsewhere = {**os.environ, "LAB_HOME": str(tmp_path)}
    assert "known here: none" in labrt("run", "busybox", env=elsewhere).stderr
    assert labrt("run", "busybox", "echo", "ü", "").stdout == "ü \n"


NAMESPACES = {"mount": "--mount", "network": "--net", "PID": "--pid --fork --mount-proc"}


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root: unshare(1)")
@pytest.mark.parametrize("kind", NAMESPACES)
def test_who_is_elsewhere_is_not_served(kind: str, server: psutil.Process) -> None:
    command = ["unshare", *NAMESPACES[kind].split(), LABRT, "run", "busybox", "sh", "-c", HOLD]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as running:
        assert running.stdout is not None
        assert running.stdout.readline() == "up\n"
        assert commands(server) == []
        for each in psutil.Process(running.pid).children(recursive=True):
            with suppress(psutil.NoSuchProcess):  # it ends with the one before
                each.terminate()
        running.terminate()


def test_what_differs_is_named() -> None:
    assert inherited.differences(os.getpid()) == []
    with subprocess.Popen(["nice", "sleep", "60"]) as other:
        until(lambda: Path(f"/proc/{other.pid}/comm").read_text() == "sleep\n")
        assert inherited.differences(other.pid) == ["nice"]
        other.kill()


def test_a_signal_is_passed_on(held: subprocess.Popen[str]) -> None:
    held.send_signal(signal.SIGTERM)
    assert held.wait(30) in ENDED


def test_killed_it_takes_its_fork_along(
    server: psutil.Process, held: subprocess.Popen[str]
) -> None:
    held.kill()
    assert held.stdout is not None
    assert held.stdout.read() == "", "the container has ended"
    until(lambda: commands(server) == [])


def test_control_z_stops_both_and_both_go_on(server: psutil.Process) -> None:
    pid, master = pty.fork()
    if pid == 0:
        os.execv(LABRT, [LABRT, "run", "busybox", "sh", "-c", HOLD])
    assert b"up" in os.read(master, 100)
    (fork,) = commands(server)
    os.kill(pid, signal.SIGTSTP)
    until(lambda: {fork.status(), psutil.Process(pid).status()} == {"stopped"})
    os.kill(pid, signal.SIGCONT)
    until(lambda: fork.status() != "stopped")
    os.kill(pid, signal.SIGTERM)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) in ENDED
    os.close(master)


def test_ended_it_ends_what_it_does_and_the_next_command_goes_on_without(
    held: subprocess.Popen[str],
) -> None:
    assert labrt("forkserver", "--end").returncode == 0
    assert held.wait(30) in ENDED
    assert labrt("forkserver", "--end").stdout == "none runs\n"
    assert labrt("run", "busybox", "echo", "on").stdout == "on\n"


def test_killed_it_leaves_nothing_that_runs(
    server: psutil.Process, held: subprocess.Popen[str]
) -> None:
    (fork,) = commands(server)
    server.kill()
    assert held.wait(30) == 125
    until(lambda: not fork.is_running() or fork.status() == "zombie")
    assert labrt("run", "busybox", "echo", "on").stdout == "on\n"


def test_after_a_change_of_the_labs_files_it_does_nothing_more(server: psutil.Process) -> None:
    os.utime(launcher.__file__)
    with subprocess.Popen(
        [LABRT, "run", "busybox", "sh", "-c", HOLD], stdout=subprocess.PIPE, text=True
    ) as running:
        assert running.stdout is not None
        assert running.stdout.readline() == "up\n"
        assert commands(server) == []
        running.terminate()


def test_only_the_labs_own_programs_are_served() -> None:
    way = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    way.connect(str(launcher.fork_server_address()))
    with launching.Connection(way) as asking, pytest.raises(LabError, match="no program of this"):
        asking.ask({"command": 0}, (0, 1, 2))


def test_nobody_else_may_ask() -> None:
    mode = launcher.fork_server_address().stat().st_mode
    assert mode & 0o022 == 0, "to connect takes the right to write (unix(7))"


@pytest.mark.parametrize("served", [True, False])
@pytest.mark.parametrize("closed", [0, 1, 2])
def test_a_closed_stream_is_an_empty_one(closed: int, served: bool) -> None:
    if not served:
        launching.end_fork_server()
    script = f'exec "$0" run busybox sh -c "echo out; echo err >&2" {closed}>&-'
    done = subprocess.run(["sh", "-c", script, LABRT], capture_output=True, text=True, timeout=60)
    shown = ("" if closed == 1 else "out\n", "" if closed == 2 else "err\n")
    assert (done.returncode, (done.stdout, done.stderr)) == (0, shown)


@pytest.mark.parametrize("served", [True, False])
def test_a_full_disk_is_told_in_one_line(served: bool) -> None:
    if not served:
        launching.end_fork_server()
    with open("/dev/full", "w") as full:
        done = labrt("help", capture_output=False, stdout=full, stderr=subprocess.PIPE)
    assert (done.returncode, done.stderr.count("\n")) == (125, 1)
    assert "ENOSPC" in done.stderr


@pytest.mark.parametrize("status", [137, 254, 255])
def test_every_exit_status_is_the_programs(status: int) -> None:
    assert labrt("run", "busybox", "sh", "-c", f"echo once; exit {status}").returncode == status


def test_a_stand_in_that_was_killed_is_replaced(server: psutil.Process) -> None:
    (ready,) = server.children()
    ready.kill()
    until(lambda: ready.status() == "zombie")  # SIGKILL takes a moment
    assert labrt("run", "busybox", "echo", "on").stdout == "on\n"
    until(lambda: [child.name() for child in server.children()] == ["labrt-stand-in"])
    assert server.children() != [ready]


def test_a_stand_in_ends_with_its_server(server: psutil.Process) -> None:
    (ready,) = server.children()
    server.kill()
    until(lambda: not ready.is_running() or ready.status() == "zombie")


def test_it_ends_also_while_it_prepares_the_next_stand_in() -> None:
    for _ in range(10):
        labrt("forkserver")
        assert labrt("help").returncode == 0  # after which it forks
        assert labrt("forkserver", "--end", timeout=20).returncode == 0


def test_commands_that_come_at_once_are_all_done() -> None:
    words = [[LABRT, "run", "busybox", "echo", str(number)] for number in range(12)]
    running = [subprocess.Popen(each, stdout=subprocess.PIPE, text=True) for each in words]
    assert [each.communicate(timeout=60)[0] for each in running] == [f"{n}\n" for n in range(12)]


class TestRuntime:
    """labrt-oci: what engines wait for as their own child must come of their own."""

    def test_run_is_done_by_a_fork(self, bundles: Bundles, server: psutil.Process) -> None:
        bundles.write(run="echo up; sleep 60")
        command = [OCI, "--root", str(bundles.folder / "state"), "run", "-b", str(bundles.folder)]
        with subprocess.Popen([*command, bundles.name], stdout=subprocess.PIPE) as running:
            assert running.stdout is not None
            assert running.stdout.readline() == b"up\n"
            assert [fork.name() for fork in commands(server)] == ["labrt-oci"]
            assert bundles("kill", bundles.name, "KILL").returncode == 0
            assert running.wait(30) == 137

    def test_what_is_created_has_another_parent(
        self, bundles: Bundles, server: psutil.Process, tmp_path: Path
    ) -> None:
        bundles.write(run="sleep 60")
        file = tmp_path / "pid"
        words = ("-b", str(bundles.folder), "--pid-file", str(file), bundles.name)
        assert bundles("create", *words, **PATIENT).returncode == 0
        container = psutil.Process(int(file.read_text()))
        assert server not in container.parents()
        assert os.readlink(f"/proc/{container.pid}/exe") == "/memfd:labrt-oci (deleted)"
        assert bundles("start", bundles.name).returncode == 0
        assert bundles("delete", "--force", bundles.name).returncode == 0
        assert commands(server) == []

    @pytest.mark.parametrize(
        "change",
        [
            {"hooks": {"startContainer": [{"path": "/bin/true"}]}},
            {"linux": {"timeOffsets": {"monotonic": {"secs": 7}}}},
        ],
    )
    def test_what_takes_more_than_calls_the_program_creates_itself(
        self, bundles: Bundles, tmp_path: Path, change: dict[str, Any]
    ) -> None:
        bundles.write(change, run="sleep 60")
        if "linux" in change:
            told = json.loads((bundles.folder / "config.json").read_text())
            told["linux"]["namespaces"].append({"type": "time"})
            (bundles.folder / "config.json").write_text(json.dumps(told))
        file = tmp_path / "pid"
        words = ("-b", str(bundles.folder), "--pid-file", str(file), bundles.name)
        done = bundles("create", *words, **PATIENT)
        assert (done.returncode, done.stderr or "") == (0, "")
        assert "python" in os.readlink(f"/proc/{file.read_text()}/exe")
        assert bundles("start", bundles.name).returncode == 0
        assert bundles("delete", "--force", bundles.name).returncode == 0

    def test_what_cannot_be_created_is_told_once_and_leaves_nothing(
        self, bundles: Bundles, server: psutil.Process
    ) -> None:
        bundles.write({"process": {"cwd": "/bin/sh"}}, run="true")
        done = bundles("create", "-b", str(bundles.folder), bundles.name)
        assert done.returncode == 1
        assert done.stderr.count("\n") == 1 and "ChangeDirectory" in done.stderr
        assert json.loads(bundles("list", "--format", "json").stdout or "null") in (None, [])
        assert commands(server) == []
