"""A container by its name (handle.py), kept by the shared launcher (detached.py, health.py)."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

import labrt
from labrt import events, launching, paths, removal, state
from labrt.errors import LabError
from labrt.handle import Handle
from labrt.launcher import Launcher
from labrt.launching import Connection
from labrt.options import Options
from tests.labrt.conftest import needs_cgroups

pytestmark = pytest.mark.usefixtures("nothing_left")

POLITE = "trap 'echo bye; exit 7' TERM; echo up; while :; do sleep 0.02; done"
DEADLINE = 20.0  # seconds, for what takes milliseconds


@contextmanager
def detached(*args: str, **options: object) -> Iterator[Handle]:
    """A container that runs by itself, for the time of the block."""
    handle = labrt.create("busybox", args, **options)
    try:
        handle.start()
        yield handle
    finally:
        handle.remove(force=True)


def until(condition: Callable[[], object]) -> None:
    deadline = time.monotonic() + DEADLINE
    while not condition():
        assert time.monotonic() < deadline, "it never came true"
        time.sleep(0.01)


def log_of(handle: Handle) -> str:
    return b"".join(handle.logs()).decode()


def launcher_pid(handle: Handle) -> int:
    record = state.read_record(handle.folder)
    assert record
    return record.owner


def test_a_created_container_runs_when_it_is_started_and_stays_when_it_ends() -> None:
    handle = labrt.create("busybox", ["sh", "-c", "echo once more; exit 3"], name="again")
    try:
        assert (handle.state, handle.status.pid) == ("created", 0)
        for times in (1, 2):
            handle.start()
            assert handle.wait(DEADLINE) == 3
            assert handle.state == "exited"
            assert log_of(handle) == "once more\n" * times
    finally:
        handle.remove()
    with pytest.raises(LabError, match="none of this name"):
        labrt.find("again")


def test_what_it_wrote_into_its_files_is_there_when_it_starts_again() -> None:
    with detached("sh", "-c", "echo x >> /kept; cat /kept") as handle:
        handle.wait(DEADLINE)
        handle.start()
        handle.wait(DEADLINE)
        assert log_of(handle) == "x\nx\nx\n"


def test_it_is_found_by_name_by_id_and_by_the_ids_beginning() -> None:
    with detached("sleep", "60", name="found") as handle:
        names = ("found", handle.id, handle.id[:8], handle.id.removeprefix("lab-")[:6])
        assert {labrt.find(name).folder for name in names} == {handle.folder}
        assert handle.folder in [each.folder for each in labrt.containers()]
        with pytest.raises(LabError, match="has that name"):
            labrt.create("busybox", ["true"], name="found")


def test_starting_what_runs_is_refused() -> None:
    with detached("sleep", "60") as handle, pytest.raises(LabError, match="runs already"):
        handle.start()


def test_a_program_that_is_not_there_is_told_to_who_starts_it() -> None:
    handle = labrt.create("busybox", ["nosuch"])
    try:
        with pytest.raises(LabError, match="no program 'nosuch'"):
            handle.start()
        assert handle.state == "created"
    finally:
        handle.remove()


def test_stop_asks_as_declared_and_the_exit_code_is_noted() -> None:
    with detached("sh", "-c", POLITE) as handle:
        until(lambda: "up" in log_of(handle))
        assert handle.stop() == 7
        assert log_of(handle) == "up\nbye\n"
    with detached("sleep", "60", stop_timeout="0.05") as handle:
        assert handle.stop() == 128 + signal.SIGKILL


def test_running_containers_are_removed_only_by_force() -> None:
    with detached("sleep", "60") as handle:
        with pytest.raises(LabError, match="it is running"):
            handle.remove()
        assert handle.state == "running"


def test_a_log_can_be_followed_to_the_end() -> None:
    with detached("sh", "-c", "for i in 1 2 3; do echo $i; sleep 0.05; done") as handle:
        assert b"".join(handle.logs(follow=True)) == b"1\n2\n3\n"


def test_what_is_typed_reaches_an_interactive_one() -> None:
    with detached("sh", "-c", "read line; echo got $line", interactive=True) as handle:
        way = handle.input()
        os.write(way, b"this\n")
        os.close(way)
        handle.wait(DEADLINE)
        assert log_of(handle) == "got this\n"


def test_a_detached_terminal_writes_the_log() -> None:
    with detached("sh", "-c", "tty; stty size", tty=True) as handle:
        handle.wait(DEADLINE)
        assert log_of(handle).startswith("/dev/pts/0\r\n")


class TestExec:
    def output(self, handle: Handle, *args: str, **options: object) -> tuple[str, int]:
        reader, writer = os.pipe()
        with handle.exec(args, stdio=(0, writer, writer), **options) as process:
            os.close(writer)
            with open(reader, "rb") as file:
                said = file.read().decode()
            status = process.wait(DEADLINE)
        assert status is not None
        return said, status

    def test_it_shares_every_namespace_and_the_cgroup(self) -> None:
        with detached("sleep", "60") as handle:
            script = "for n in /proc/self/ns/*; do readlink $n; done | sort -u; cat /proc/1/comm"
            said, status = self.output(handle, "sh", "-c", script)
            theirs = {os.readlink(f) for f in Path(f"/proc/{handle.status.pid}/ns").iterdir()}
            assert status == 0
            assert set(said.split()) - {"sleep"} == theirs
            assert "sleep" in said

    def test_its_posture_is_the_first_processs(self) -> None:
        fields = ("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb", "NoNewPrivs", "Seccomp")
        with detached("sleep", "60", cap_drop=["CHOWN"]) as handle:
            said, _ = self.output(handle, "cat", "/proc/self/status")
            first = Path(f"/proc/{handle.status.pid}/status").read_text()
        told = [
            [line.split() for line in text.splitlines() if line.startswith(fields)]
            for text in (said, first)
        ]
        assert told[0] == told[1] != []

    def test_a_container_with_an_init_is_entered_too(self) -> None:
        with detached("sleep", "60", init=True) as handle:
            # /proc/self leads only those somewhere who are in the namespace that this /proc shows.
            said, status = self.output(handle, "cat", "/proc/1/comm", "/proc/self/comm")
            assert (status, said.split()) == (0, ["init", "cat"])

    def test_its_options_are_its_own_and_its_exit_code_too(self) -> None:
        with detached("sleep", "60", env=["A=1"]) as handle:
            said, status = self.output(
                handle, "sh", "-c", "echo $A$B; pwd; exit 9", env=["B=2"], workdir="/tmp"
            )
            assert (said, status) == ("12\n/tmp\n", 9)

    def test_what_has_ended_cannot_be_entered(self) -> None:
        with detached("true") as handle:
            handle.wait(DEADLINE)
            with pytest.raises(LabError, match="it is exited, not running"):
                handle.exec(["true"])


@needs_cgroups
class TestCgroup:
    def test_a_paused_one_stands_still_and_goes_on(self) -> None:
        with detached("sh", "-c", "while :; do echo .; sleep 0.01; done") as handle:
            until(lambda: log_of(handle))
            handle.pause()
            assert handle.state == "paused"
            before = log_of(handle)
            time.sleep(0.1)
            assert log_of(handle) == before
            handle.resume()
            until(lambda: log_of(handle) != before)

    def test_no_process_joins_a_paused_one_where_it_would_stand_still(self) -> None:
        with detached("sleep", "60", name="still") as handle:
            handle.pause()
            with pytest.raises(LabError, match=r"it is paused\. Remedy: labrt resume still"):
                handle.exec(["true"])

    def test_a_paused_ones_health_is_not_asked_and_nobody_waits_for_it(self) -> None:
        with detached("sleep", "60", health_cmd="true", health_interval="0.05") as handle:
            until(lambda: handle.status.health == "healthy")
            handle.pause()
            time.sleep(0.2)
            with detached("sleep", "60") as other:
                assert other.state == "running"
            assert handle.status.health == "healthy"

    def test_a_paused_one_can_be_stopped_and_removed(self) -> None:
        with detached("sh", "-c", POLITE) as handle:
            until(lambda: "up" in log_of(handle))
            handle.pause()
            assert handle.stop() == 7
        with detached("sleep", "60") as handle:
            handle.pause()

    def test_limits_change_while_it_runs(self) -> None:
        with detached("sleep", "60", memory="64m") as handle:
            handle.update(Options(memory="128m", pids_limit="50"))
            usage = handle.usage()
            assert (usage.memory_max, usage.pids_max) == (128 << 20, 50)
            with pytest.raises(LabError, match="not a size"):
                handle.update(Options(memory="lots"))

    def test_death_by_memory_is_noted_as_such(self) -> None:
        hungry = ["tail", "/dev/zero"]  # looks for the last lines of what is one, without end
        with detached(*hungry, memory="20m") as handle:
            assert handle.wait(DEADLINE) == 128 + signal.SIGKILL
            assert handle.status.oom_killed
        with labrt.run("busybox", hungry, memory="20m") as running:
            assert running.wait(DEADLINE) == 128 + signal.SIGKILL
            assert running.oom_killed

    def test_its_processes_are_listed_the_first_one_first(self) -> None:
        with detached("sh", "-c", "sleep 60 & sleep 60 & wait") as handle:
            until(lambda: len(handle.processes()) == 3)
            assert handle.processes()[0] == handle.status.pid


class TestRestart:
    def test_on_failure_starts_it_again_so_many_times(self) -> None:
        with detached("sh", "-c", "echo x; exit 1", restart="on-failure:2") as handle:
            until(lambda: handle.status.restarts == 2 and handle.state == "exited")
            assert log_of(handle) == "x\n" * 3

    def test_success_is_not_a_failure(self) -> None:
        with detached("true", restart="on-failure") as handle:
            assert handle.wait(DEADLINE) == 0
            time.sleep(0.3)
            assert handle.status.restarts == 0

    def test_who_was_stopped_stays_so(self) -> None:
        with detached("sh", "-c", POLITE, restart="always") as handle:
            until(lambda: "up" in log_of(handle))
            handle.stop()
            time.sleep(0.3)
            assert (handle.state, handle.status.restarts) == ("exited", 0)


def test_a_health_command_tells_how_it_is() -> None:
    health = {"health_cmd": "test -e /well", "health_interval": "20ms", "health_retries": "2"}
    with detached("sleep", "60", **health) as handle:
        until(lambda: handle.status.health == "unhealthy")
        with handle.exec(["touch", "/well"]) as process:
            process.wait(DEADLINE)
        until(lambda: handle.status.health == "healthy")


class TestLauncher:
    def test_one_serves_all_containers_of_a_user(self) -> None:
        with detached("sleep", "60") as one, detached("sleep", "60") as other:
            assert launcher_pid(one) == launcher_pid(other)
            parents = {_parent(each.status.pid) for each in (one, other)}
            assert parents == {launcher_pid(one)}, "and no process stands between"

    def test_killed_its_containers_live_on_and_can_be_stopped_and_removed(self) -> None:
        with detached("sleep", "60") as one, detached("sleep", "60") as other:
            _kill_and_wait(launcher_pid(one))
            removal.remove_dead()  # what every command does first
            assert {one.state, other.state} == {"running"}
            assert one.stop(timeout=0) is None  # its exit code was for the launcher alone
            assert one.state == "exited"
            other.remove(force=True)
            assert not other.folder.exists()

    @pytest.mark.parametrize("policy", ["always", "on-failure"])
    def test_killed_the_next_one_starts_again_what_it_was_to_start_again(self, policy: str) -> None:
        with detached("sh", "-c", "sleep 0.5; exit 1", restart=policy) as one:
            _kill_and_wait(launcher_pid(one))
            until(lambda: one.state == "exited")
            with detached("sleep", "60"):
                until(lambda: one.status.restarts >= 1)

    def test_killed_the_next_one_leaves_alone_what_was_stopped(self) -> None:
        with detached("sleep", "60", restart="always") as one:
            _kill_and_wait(launcher_pid(one))
            one.stop(timeout=0)
            with detached("sleep", "60"):
                time.sleep(0.3)
                assert (one.state, one.status.restarts) == ("exited", 0)

    def test_killed_the_next_one_takes_its_containers_over(self) -> None:
        with detached("sleep", "60") as one:
            before = launcher_pid(one)
            _kill_and_wait(before)
            with detached("true") as other:
                until(lambda: launcher_pid(one) == launcher_pid(other) != before)

    def test_it_ends_when_it_has_nothing_left_to_do(self) -> None:
        with detached("true") as handle:
            launcher = os.pidfd_open(launcher_pid(handle))
        assert launching.readable(launcher, DEADLINE)
        os.close(launcher)
        assert not launching.shared_address().exists()

    def test_a_fault_in_one_request_is_told_and_the_others_containers_go_on(self) -> None:
        with detached("sleep", "60") as handle:
            before = launcher_pid(handle)
            fault = pytest.raises(LabError, match="a fault in the lab itself")
            with Connection.shared() as launcher, fault:
                launcher.ask({"detached": 7})
            with detached("sleep", "60") as other:
                assert launcher_pid(other) == before
            log = paths.run_dir() / "launcher.log"
            assert "TypeError" in log.read_text()
            log.write_text("")

    def test_who_connects_just_before_the_end_is_served(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """It lies in the listener's queue while the launcher finds itself idle (listen(2))."""
        monkeypatch.setenv("LAB_RUN", str(tmp_path))
        with launching._listen(str(launching.shared_address())) as listener:
            launcher = Launcher(listener, shared=True)
            launcher.loop.watch(listener.fileno(), launcher._accept)
            with Connection.shared():
                launcher._end_if_idle()
                assert not launcher.loop._stopped
                launcher.loop.once()
            launcher.loop.once()
            launcher._end_if_idle()
            assert launcher.loop._stopped


def test_a_stale_record_of_an_earlier_boot_is_recognised_and_removed() -> None:
    handle = labrt.create("busybox", ["true"])
    handle.start()
    handle.wait(DEADLINE)
    state.update_status(handle.folder, boot="an earlier boot", finished=0.0)
    until(lambda: not state.has_owner(handle.folder))
    assert handle.state == "exited"
    assert handle.id in removal.remove_dead()
    assert not handle.folder.exists()


def test_events_tell_its_life() -> None:
    seen: list[str] = []

    def watch() -> None:
        for event in events.coming():
            seen.append(f"{event['event']} {event['name']}")
            if event["event"] == "destroy":
                return

    (paths.run_dir() / f"events{paths.lab_suffix()}").touch()
    watcher = threading.Thread(target=watch)
    watcher.start()
    time.sleep(0.1)
    with detached("true", name="told") as handle:
        handle.wait(DEADLINE)
    watcher.join(DEADLINE)
    assert seen == ["create told", "start told", "die told", "destroy told"]


@pytest.mark.parametrize(
    ("wishes", "said"),
    [
        ({"name": "../x"}, "not a name"),
        ({"restart": "sometimes"}, "none of this kind"),
        ({"restart": "always", "rm": True}, "nothing of it stays"),
        ({"stop_signal": "SIGNONE"}, "there is none"),
        ({"stop_timeout": "-1"}, "not a time"),
        ({"health_interval": "0"}, "not a time"),
        ({"health_retries": "0"}, "not a number"),
    ],
)
def test_a_wrong_wish_is_refused_before_anything_is_made(
    wishes: dict[str, object], said: str
) -> None:
    with pytest.raises(LabError, match=said):
        labrt.create("busybox", ["true"], **wishes)


def _parent(pid: int) -> int:
    text = Path(f"/proc/{pid}/stat").read_text()
    return int(text.rpartition(")")[2].split()[1])


def _kill_and_wait(pid: int) -> None:
    pidfd = os.pidfd_open(pid)
    signal.pidfd_send_signal(pidfd, signal.SIGKILL)
    assert launching.readable(pidfd, DEADLINE)
    os.close(pidfd)
