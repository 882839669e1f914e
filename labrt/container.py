"""A container's life on the side that clones: created, started, joined by one more process, ended.

This code is single-threaded. Users reach it through a launcher (`labrt/launcher.py`). A container
that is kept (`Life.remove` is false) goes in two halves: the steps that keep (its folder, its name)
are done by `create` and undone by `removal.remove`, all others by start and end.
"""

from __future__ import annotations

import fcntl
import os
import time
from array import array
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, replace
from pathlib import Path

from labrt import events, paths, state
from labrt.cgroups import Cgroup
from labrt.child import Child
from labrt.errors import LabError
from labrt.perform import Hook, do_all, no_hook, perform, undo
from labrt.recipe import entering, recipe
from labrt.spec import Process, Spec
from labrt.state import Status
from labrt.step import Context, Step

Stdio = tuple[int, int, int]
LET_GO_SECONDS = 10.0  # no owner that lives needs longer to undo and note an end


@dataclass
class Started(Child):
    """A process that a recipe has started."""

    steps: list[Step]
    context: Context
    times: array[int]
    master: int = -1  # of its terminal, where it has one
    exit_code: int | None = None

    @property
    def spec(self) -> Spec:
        return self.context.spec

    @property
    def pid(self) -> int:
        return self.context.pid

    @property
    def pidfd(self) -> int:
        return self.context.pidfd

    def oom_killed(self) -> bool:
        """Whether the kernel killed something of its container for want of memory."""
        return bool(self.spec.cgroup) and Cgroup(self.spec.cgroup).oom_kills() > 0

    def finish(self) -> None:
        """End it by force where it still runs; undo every step."""
        self.wait(0)
        undo(self.steps, self.context)
        self._close_master()

    def _close_master(self) -> None:
        if self.master >= 0:
            os.close(self.master)
            self.master = -1

    def __enter__(self) -> Started:
        return self

    def __exit__(self, *exc: object) -> None:
        self.finish()


@dataclass
class Running(Started):
    """A container's first process, and so the container. Leaving the `with` block ends it."""

    @property
    def folder(self) -> Path:
        return Path(self.spec.state_dir)

    def kill(self) -> None:
        """End it by force; it isn't waited for. A frozen one goes on, or v1 would hold it back."""
        super().kill()
        if is_paused(self.spec):
            Cgroup(self.spec.cgroup).thaw()

    def finish(self) -> None:
        """End it by force where it still runs; undo every step, but for what is kept."""
        self.wait(0)
        self._close_master()
        note_end(self.spec, self.context, self.exit_code)


def create(spec: Spec) -> None:
    """Make a container that doesn't run yet: its folder and its name.

    Raises:
        LabError: it could not be made; nothing is left of it.
    """
    context = Context(spec)
    steps = [step for step in recipe(spec) if step.keeps]
    do_all(steps, context)
    state.write_status(Path(spec.state_dir), Status())
    os.close(context.lock)
    events.record(spec, "create")


def start(spec: Spec, stdio: Stdio = (0, 1, 2), hook: Hook = no_hook) -> Running:
    """Make and start a container.

    Args:
        stdio: descriptors of this process that become its standard input, output and error.
        hook: called before each step, on the step's own side.

    Raises:
        LabError: it could not be started; everything is undone.
    """
    return _start(recipe(spec), Context(spec, stdio=stdio), hook)


def start_claimed(steps: list[Step], context: Context, done: int) -> Running:
    """Start a container of which the first `done` steps are done: those that make it ours.

    Raises:
        LabError: it could not be started; everything is undone.
    """
    return _start(steps, context, done=done)


def start_created(folder: Path, stdio: Stdio = (0, 1, 2), detached: bool = False) -> Running:
    """Start a container that was created, or that has ended.

    Args:
        detached: whether it is to outlive this process.

    Raises:
        LabError: it runs, is gone, or could not be started; then it is as it was before.
    """
    lock = lock_ended(folder)
    record, before = state.read_record(folder), state.read_status(folder)
    if record is None or lock is None or before.state == "running":
        if lock is not None:
            os.close(lock)
        raise LabError(f"start the container {folder.name}", "it runs already, or is being removed")
    from labrt.sharing import renewed

    try:
        spec = replace(
            state.limited(record.spec, before),
            life=replace(record.spec.life, detached=detached),
            namespaces=renewed(record.spec.namespaces, state.first_pid),
        )
        state.own(lock, spec)
        steps = [step for step in recipe(spec) if not step.keeps]
        return _start(steps, Context(spec, lock=lock, stdio=stdio))
    except BaseException:
        state.write_status(folder, before)
        os.close(lock)
        raise


def adopt(folder: Path) -> Running:
    """Take over a running container whose owner has died.

    Raises:
        LabError: it has an owner, or doesn't run any more.
    """
    record, lock, status = state.read_record(folder), try_lock(folder), state.read_status(folder)
    if record is None or lock is None or status.state != "running":
        if lock is not None:
            os.close(lock)
        raise LabError(f"look after the container {folder.name}", "it has an owner, or has ended")
    state.own(lock, record.spec)
    pidfd = os.pidfd_open(status.pid)
    context = Context(record.spec, pid=status.pid, pidfd=pidfd, lock=lock)
    return Running([], context, array("q"))


def enter(
    folder: Path,
    process: Process,
    stdio: Stdio = (0, 1, 2),
    detached: bool = False,
    even_paused: bool = False,
) -> Started:
    """Start one more process in a running container: `labrt exec`.

    Args:
        detached: whether it is to outlive this process.
        even_paused: into a frozen cgroup, too; then this waits until it is thawed.

    Raises:
        LabError: the container doesn't run, or the process could not be started.
    """
    spec, status = state.running(folder.name)
    with nullcontext() if even_paused else _not_paused(folder, spec):
        pid = state.open_pid(spec, status)
        life = replace(spec.life, detached=detached, waits=False)
        spec = replace(spec, process=process, init=False, life=life)
        context = Context(spec, stdio=stdio)
        steps = entering(spec, pid)
        times = perform(steps, context)
    return Started(steps, context, times, _master(context))


@contextmanager
def _not_paused(folder: Path, spec: Spec) -> Iterator[None]:
    """Keep a container from being paused meanwhile.

    Raises:
        LabError: it is already.
    """
    with paths.locked(folder, fcntl.LOCK_SH):
        if is_paused(spec):
            name = spec.life.name
            raise LabError(
                f"start a process in the container {name}",
                "it is paused",
                remedy=f"labrt resume {name}",
            )
        yield


def pause(folder: Path, spec: Spec) -> None:
    """Stop all its processes where they are, once nobody is entering it: who had joined its cgroup
    by then would stand still, too, and with them who waits for them."""
    with paths.locked(folder):
        Cgroup(spec.cgroup).freeze()


def is_paused(spec: Spec) -> bool:
    """Whether a container's processes stand still, as would one that joins them."""
    return bool(spec.cgroup) and Cgroup(spec.cgroup).frozen()


def _start(steps: list[Step], context: Context, hook: Hook = no_hook, done: int = 0) -> Running:
    times = perform(steps, context, hook, done)
    events.record(context.spec, "start")  # now that the child doesn't wait for it
    return Running([], context, times, _master(context))  # its undos follow from its spec


def _master(context: Context) -> int:
    """Take the terminal's master end, -1 if there is none."""
    if not context.console:
        return -1
    from labrt import terminal

    return terminal.master(context)


def note_end(spec: Spec, context: Context, exit_code: int | None) -> None:
    """Undo the end of a container: all of it, or what doesn't keep, and then note its fate."""
    oom_killed = bool(spec.cgroup) and Cgroup(spec.cgroup).oom_kills() > 0
    if oom_killed:
        events.record(spec, "oom")
    events.record(spec, "die", exit_code=exit_code)
    if spec.life.remove:
        undo(recipe(spec), context)
        return events.record(spec, "destroy")
    undo([step for step in recipe(spec) if not step.keeps], context)
    fate = {"finished": time.time(), "exit_code": exit_code, "oom_killed": oom_killed}
    state.update_status(Path(spec.state_dir), **fate)
    if context.lock >= 0:
        os.close(context.lock)
        context.lock = -1


def try_lock(folder: Path) -> int | None:
    """Take a container's lock; None while an owner lives, or if the container is gone."""
    try:
        return state.try_lock(folder)
    except FileNotFoundError:
        return None


def lock_ended(folder: Path) -> int | None:
    """Take the lock of a container that doesn't run, waiting for an owner that is noting its end.

    Returns:
        Its descriptor; None where the container runs or is gone.
    """
    deadline = time.monotonic() + LET_GO_SECONDS
    while (lock := try_lock(folder)) is None and time.monotonic() < deadline:
        if not folder.exists() or state.read_status(folder).state == "running":
            return None
        time.sleep(0.002)
    return lock
