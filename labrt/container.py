"""A container's life: created, started, ended by exit or by force, undone and removed.

This is the single-threaded side: it clones. Users reach it through `labrt/client.py` and the
launcher. A container that is kept (`Life.remove` is false) goes in two halves: the steps that keep
(its folder, its name) are done by `create` and undone by `remove`, all others by start and end.
"""

from __future__ import annotations

import os
import select
import signal
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from labrt import state
from labrt.cgroups import Cgroup
from labrt.errors import LabError
from labrt.perform import Hook, Timed, do_all, perform, undo
from labrt.recipe import recipe
from labrt.spec import Spec
from labrt.state import Status
from labrt.step import Context, Step

# Exit statuses as Docker's users know them, for what happens before the program runs.
NOT_STARTED = 125
NOT_EXECUTABLE = 126
NOT_FOUND = 127

NOTED_SECONDS = 10.0  # no owner that lives needs longer to note an end


@dataclass
class Running:
    """A started container, owned by this process. Leaving the `with` block ends and undoes it."""

    steps: list[Step]
    context: Context
    trace: list[Timed]
    exit_code: int | None = None

    @property
    def spec(self) -> Spec:
        return self.context.spec

    @property
    def folder(self) -> Path:
        return Path(self.spec.state_dir)

    @property
    def pid(self) -> int:
        return self.context.pid

    @property
    def cloned(self) -> int:
        """When clone3(2) had returned in the host, CLOCK_MONOTONIC ns."""
        clone = next(step for step in self.trace if step.name == "Clone")
        return clone.start + clone.duration

    def signal(self, number: int) -> None:
        """Send a signal to its first process; content to find it ended."""
        try:
            signal.pidfd_send_signal(self.context.pidfd, number)
        except ProcessLookupError:
            pass

    def wait(self, timeout: float | None = None) -> int | None:
        """Wait until its first process ends.

        Returns:
            Its exit code, 128 + N if signal N ended it; None if `timeout` seconds passed first.
        """
        if self.exit_code is None and _readable(self.context.pidfd, timeout):
            self.exit_code = _reap(self.context.pidfd)
        return self.exit_code

    def finish(self) -> None:
        """End it by force where it still runs; undo every step, but for what is kept."""
        self.wait(0)
        fate = {"finished": time.time(), "exit_code": self.exit_code, "oom_killed": _oom(self.spec)}
        _undo_end(self.spec, self.steps, self.context, fate)
        state.record_event(self.spec, "die")

    def __enter__(self) -> Running:
        return self

    def __exit__(self, *exc: object) -> None:
        self.finish()


def create(spec: Spec) -> None:
    """Make a container that doesn't run yet: its folder and its name.

    Raises:
        LabError: it could not be made; nothing is left of it.
    """
    context = Context(spec)
    do_all([step for step in recipe(spec) if step.keeps], context)
    state.write_status(Path(spec.state_dir), Status())
    os.close(context.lock)
    state.record_event(spec, "create")


def start(
    spec: Spec, stdio: tuple[int, int, int] = (0, 1, 2), hook: Hook = lambda step: None
) -> Running:
    """Make and start a container.

    Args:
        stdio: descriptors of this process that become its standard input, output and error.
        hook: called before each step, on the step's own side.

    Raises:
        LabError: it could not be started; everything is undone.
    """
    return _start(recipe(spec), Context(spec, stdio=stdio), hook)


def start_created(folder: Path, stdio: tuple[int, int, int] = (0, 1, 2)) -> Running:
    """Start a container that was created, or that has ended.

    Raises:
        LabError: it runs, is gone, or could not be started; then it is as it was before.
    """
    record, lock = state.read_record(folder), state.try_lock(folder)
    if record is None or lock is None or state.read_status(folder).state == "running":
        if lock is not None:
            os.close(lock)
        raise LabError(f"start the container {folder.name}", "it runs already, or is being removed")
    spec = record.spec
    state.own(lock, spec)
    steps = [step for step in recipe(spec) if not step.keeps]
    before = state.read_status(folder)
    try:
        return _start(steps, Context(spec, lock=lock, stdio=stdio), lambda step: None)
    except BaseException:
        state.write_status(folder, before)
        os.close(lock)
        raise


def _start(steps: list[Step], context: Context, hook: Hook) -> Running:
    return Running(steps, context, perform(steps, context, hook))


def _undo_end(spec: Spec, steps: list[Step], context: Context, fate: Mapping[str, object]) -> None:
    """Undo the end of a container: all of it, or what doesn't keep, and then note its fate."""
    if spec.life.remove:
        return undo(steps, context)
    undo([step for step in steps if not step.keeps], context)
    state.update_status(Path(spec.state_dir), **fate)
    if context.lock >= 0:
        os.close(context.lock)
        context.lock = -1


def _oom(spec: Spec) -> bool:
    count = getattr(Cgroup(spec.cgroup), "oom_kills", lambda: 0)
    return bool(spec.cgroup) and count() > 0


def remove_dead() -> list[str]:
    """Undo what dead owners left undone; return the ids of the containers that are gone.

    A detached container that has outlived its launcher lives on. One that has ended and is kept is
    kept. One of an earlier boot is no more than a folder, and goes.
    """
    return [folder.name for folder in state.folders() if _settle(folder)]


def remove_all(timeout: float = 5.0) -> list[str]:
    """End and remove every container of this LAB_HOME; return their ids.

    A living owner (a launcher) is asked by SIGTERM, and undoes its own.

    Raises:
        LabError: an owner had not let go after `timeout` seconds.
    """
    return [folder.name for folder in state.folders() if _remove_by_force(folder, timeout)]


def _remove_by_force(folder: Path, timeout: float) -> bool:
    deadline = time.monotonic() + timeout
    record = state.read_record(folder)
    owner = record.owner if record else 0
    asked = False
    while (lock := _lock(folder)) is None and folder.exists():
        if owner and not asked:  # it lives, for it holds the lock
            os.kill(owner, signal.SIGTERM)
            asked = True
        if time.monotonic() > deadline:
            raise LabError(
                f"remove the container {folder.name}",
                f"its owner, process {owner}, still holds it",
                remedy="end that process, then run ./lab clean again",
            )
        time.sleep(0.01)
    if lock is not None:
        _remove(folder, lock)
    return True


def remove(folder: Path) -> None:
    """Remove a container that doesn't run: its folder, its name, whatever a crash left of it.

    Raises:
        LabError: it runs.
    """
    lock = _lock(folder)
    if not folder.exists():
        return
    if lock is None or state.read_status(folder).state == "running":
        if lock is not None:
            os.close(lock)
        raise LabError(
            f"remove the container {folder.name}",
            "it is running",
            remedy=f"labrt stop {folder.name}, or labrt rm --force",
        )
    _remove(folder, lock)


def _lock(folder: Path) -> int | None:
    try:
        return state.try_lock(folder)
    except FileNotFoundError:
        return None  # its owner undid it meanwhile


def _remove(folder: Path, lock: int) -> None:
    """Undo a container whose lock is ours, from its record, whatever state it is in."""
    record, status = state.read_record(folder), state.read_status(folder)
    if record is None:  # the owner died before any other step
        state.remove_tree(folder)
        os.close(lock)
        return
    _kill_first(status)
    undo(recipe(record.spec), Context(record.spec, lock=lock))
    state.record_event(record.spec, "remove")


def _settle(folder: Path) -> bool:
    """Undo what an owner that died left undone; True if nothing of the container is left."""
    lock = _lock(folder)
    if lock is None:
        return not folder.exists()
    record, status = state.read_record(folder), state.read_status(folder)
    if record is None or _goes(folder, record.spec, status):
        _remove(folder, lock)
        return True
    if not _lives_on(record.spec, status) and status.pid and not status.finished:
        _kill_first(status)
        context = Context(record.spec, lock=lock)
        _undo_end(record.spec, recipe(record.spec), context, {"finished": time.time()})
    else:
        os.close(lock)
    return False


def _lives_on(spec: Spec, status: Status) -> bool:
    return spec.life.detached and status.state == "running"


def _goes(folder: Path, spec: Spec, status: Status) -> bool:
    """Whether nothing of a container without an owner is to stay."""
    if _lives_on(spec, status):
        return False
    half_made = not (folder / "status").exists()
    return half_made or spec.life.remove or status.boot not in ("", state.boot_id())


def _kill_first(status: Status) -> None:
    """Kill the first process of a container whose owner is gone; with it ends its pid namespace."""
    if status.state != "running":
        return
    pidfd = os.pidfd_open(status.pid)
    try:
        if state.birth(status.pid) == status.birth:
            signal.pidfd_send_signal(pidfd, signal.SIGKILL)
            _readable(pidfd, 10.0)
    except ProcessLookupError:
        pass
    finally:
        os.close(pidfd)


def send_signal(folder: Path, number: int) -> bool:
    """Send a signal to a container's first process, whoever owns it; False if it has ended."""
    status = state.read_status(folder)
    try:
        pidfd = os.pidfd_open(status.pid or -1)
    except (ProcessLookupError, OSError):
        return False
    try:
        if status.state != "running":  # asked again now that the pid can't be another's
            return False
        signal.pidfd_send_signal(pidfd, number)
        return True
    except ProcessLookupError:
        return False
    finally:
        os.close(pidfd)


def wait_ended(folder: Path, timeout: float | None = None) -> Status | None:
    """Wait until a container has ended and its owner has noted how.

    Returns:
        Its status, or None if `timeout` seconds passed before. If it is removed at its end, only
        its owner learns how it ended, and the status tells no exit code.
    """
    status = state.read_status(folder)
    if status.state == "running":
        try:
            pidfd = os.pidfd_open(status.pid)
        except ProcessLookupError:
            pidfd = -1
        try:
            if pidfd >= 0 and not _readable(pidfd, timeout):
                return None
        finally:
            if pidfd >= 0:
                os.close(pidfd)
    deadline = time.monotonic() + NOTED_SECONDS
    while folder.exists() and not (noted := state.read_status(folder)).finished:
        if (lock := _lock(folder)) is not None:  # it has no owner to note anything
            os.close(lock)
            _settle(folder)
        elif time.monotonic() > deadline or not noted.pid:
            return noted
        time.sleep(0.005)
    return state.read_status(folder)


def stop(folder: Path, timeout: float | None = None) -> None:
    """Ask a container to end, kill it after `timeout` seconds (default: as declared), wait.

    Raises:
        LabError: it is gone.
    """
    record = state.read_record(folder)
    if record is None:
        raise LabError(f"stop the container {folder.name}", "it is gone")
    if state.read_status(folder).state != "running":
        return
    life = record.spec.life
    state.update_status(folder, stopping=True)
    send_signal(folder, signal.Signals[life.stop_signal])
    if wait_ended(folder, life.stop_timeout if timeout is None else timeout) is None:
        send_signal(folder, signal.SIGKILL)
        wait_ended(folder, NOTED_SECONDS)


def _readable(pidfd: int, timeout: float | None) -> bool:
    poll = select.poll()
    poll.register(pidfd, select.POLLIN)
    return bool(poll.poll(None if timeout is None else timeout * 1000))


def _reap(pidfd: int) -> int:
    result = os.waitid(os.P_PIDFD, pidfd, os.WEXITED)
    assert result is not None, "WNOHANG was not asked for"
    return result.si_status if result.si_code == os.CLD_EXITED else 128 + result.si_status
