"""The life cycle as the runtime specification writes it (runtime.md): creating, created, running,
stopped; each operation only in the state that allows it.

"created" is a container whose process waits at a FIFO (`WaitForStart`). Nobody of the lab stays
with it: the engine's monitor inherits the process when the command that created it ends
(PR_SET_CHILD_SUBREAPER(2const)), and learns of its end.

Ids are chosen by engines, so two may want the same one at once. Whoever makes a container's folder
and its cgroup holds the lock of the folder that all are in.
"""

from __future__ import annotations

import fcntl
import os
import select
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from labrt import paths, state
from labrt.errors import LabError
from labrt.spec import Spec

if TYPE_CHECKING:
    from labrt.cgroups import Cgroup
    from labrt.container import Running, Stdio

Stage = Literal["creating", "created", "running", "paused", "stopped"]


def find(container_id: str) -> tuple[Path, Spec]:
    """Return a container's folder and what was declared.

    Raises:
        LabError: there is none of this id.
    """
    folder = state.containers_dir() / container_id
    known = "/" not in container_id and not container_id.startswith(".")
    record = state.read_record(folder) if known else None
    if record is None:
        raise LabError(f"find the container {container_id!r}", "container does not exist")
    return folder, record.spec


def everything() -> list[tuple[Path, Spec]]:
    """Return all containers, oldest first."""
    found = ((folder, state.read_record(folder)) for folder in state.folders())
    return [(folder, record.spec) for folder, record in found if record]


def stage(folder: Path, spec: Spec) -> Stage:
    """Return where in its life a container is."""
    status = state.read_status(folder)
    if not status.pid:
        return "creating" if _is_being_made(folder) else "stopped"  # its creator was killed
    if status.state != "running":
        return "stopped"
    waits = os.path.exists(spec.start_fifo)
    if waits and _is_being_made(folder):
        return "creating"
    if _is_frozen(spec):
        return "paused"
    return "created" if waits else "running"


def _is_being_made(folder: Path) -> bool:
    """Whether its creator is still at it; then that holds the lock. Ours is a shared one, so that
    two who look don't take each other for creators."""
    try:
        os.close(paths.lock(folder / "record", fcntl.LOCK_SH | fcntl.LOCK_NB))
    except BlockingIOError:
        return True
    return False


def cgroup(spec: Spec) -> Cgroup | None:
    """Return a container's cgroup, None where it has none."""
    from labrt.cgroups import Cgroup

    return Cgroup(spec.cgroup) if spec.cgroup else None


def _is_frozen(spec: Spec) -> bool:
    return (group := cgroup(spec)) is not None and group.frozen()


def told(folder: Path, spec: Spec) -> dict[str, Any]:
    """Return a container's state as the specification has it (runtime.md#state)."""
    now = stage(folder, spec)
    return spec.state(now, state.read_status(folder).pid if now != "stopped" else 0)


def demand(container_id: str, operation: str, *allowed: Stage) -> tuple[Path, Spec]:
    """Return the folder and declaration of a container that is in one of these states.

    Raises:
        LabError: there is none of this id, or it is in another state.
    """
    folder, spec = find(container_id)
    if (now := stage(folder, spec)) not in allowed:
        answer = f"cannot {operation} a container in the {now} state"
        answer += "" if now != "stopped" else ": container not running"
        raise LabError(f"{operation} the container {container_id}", answer)
    return folder, spec


def create(spec: Spec, stdio: Stdio = (0, 1, 2)) -> Running:
    """Make a container, up to its program or to the moment before it (`Life.waits`).

    Raises:
        LabError: its id or its cgroup is taken, or it could not be made; nothing is left of it.
    """
    from labrt import container, perform
    from labrt.cgroups import CreateCgroup
    from labrt.hierarchies import CreateInHierarchies
    from labrt.recipe import recipe
    from labrt.step import Context

    steps, context = recipe(spec), Context(spec, stdio=stdio)
    claiming = (state.CreateStateDir, CreateCgroup, CreateInHierarchies)
    last = max(index for index, step in enumerate(steps) if isinstance(step, claiming))
    with _alone():
        _refuse_taken(spec)
        perform.do_all(steps[: last + 1], context)
    running = container.start_claimed(steps, context, last + 1)
    if not spec.life.waits:
        try:
            _run_poststart(spec, running.pid)
        except LabError:
            give_up(running)
            raise
    return running


def give_up(running: Running) -> None:
    """End and undo a container that this process has made, all of it."""
    from labrt.perform import undo
    from labrt.recipe import recipe

    running.kill()
    running.wait()
    undo(recipe(running.spec), running.context)


def _refuse_taken(spec: Spec) -> None:
    folder = Path(spec.state_dir)
    if folder.exists():
        raise LabError(f"create the container {spec.id}", "container with given ID already exists")
    others = map(os.path.exists, spec.own_hierarchies)
    if (group := cgroup(spec)) is not None and (group.exists() or any(others)):
        remedy = "delete that one, or choose another cgroupsPath"
        answer = f"the cgroup {spec.cgroup} is there already"
        raise LabError(f"create the container {spec.id}", answer, "another container's", remedy)
    state.remove_half_made()


@contextmanager
def _alone() -> Iterator[None]:
    """Hold the lock of the folder that all containers are in."""
    parent = state.containers_dir()
    paths.make_passable(parent)
    with paths.locked(parent):
        yield


def start(container_id: str) -> None:
    """Let a created container's program begin; return once it has begun.

    Raises:
        LabError: the container is in another state; its program could not begin, or a hook failed:
            then it has ended, and after a hook nothing is left of it (runtime.md#lifecycle).
    """
    folder, spec = demand(container_id, "start", "created")
    try:
        writer = os.open(spec.start_fifo, os.O_WRONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        os.unlink(spec.start_fifo)  # who manages that is the one who starts it
    except OSError:  # ENXIO: nobody reads; ENOENT: another was quicker
        answer = "it isn't waiting any more"
        raise LabError(f"start the container {container_id}", answer) from None
    os.write(writer, b"\0")
    _await_program(writer)
    os.close(writer)
    try:
        _raise_late(spec)
        _run_poststart(spec, state.read_status(folder).pid)
    except LabError as error:
        if error.step_name in ("", "RunHook"):
            delete(container_id, force=True)
        raise


def _await_program(writer: int) -> None:
    """Wait until the container's process has closed the FIFO, by execve(2) or by its end."""
    poll = select.poll()
    poll.register(writer, 0)  # POLLERR: nobody reads any more
    poll.poll()


def _raise_late(spec: Spec) -> None:
    """Raise what the container's process has failed at since it was started, if it has."""
    if report := Path(spec.start_failure).read_bytes():
        from labrt.perform import raise_late
        from labrt.recipe import recipe

        raise_late(recipe(spec), report)


def _run_poststart(spec: Spec, pid: int) -> None:
    if spec.hooks.poststart:
        from labrt.hooks import run_all

        run_all("poststart", spec.hooks.poststart, spec, "running", pid, spec.life.image)


def kill(container_id: str, number: int, every: bool = False) -> None:
    """Send a signal to a container's first process, or to every one.

    Raises:
        LabError: it has ended, and `every` is false.
    """
    folder, spec = find(container_id)
    group = cgroup(spec)
    if every and group is not None:
        for pid in group.processes():
            _send(pid, number)
    elif not _send_first(folder, number) and not every:
        raise LabError(f"send the container {container_id} a signal", "container not running")
    if number == signal.SIGKILL and group is not None and group.frozen():
        group.thaw()  # v1's freezer holds back even the dying


def _send(pid: int, number: int) -> None:
    try:
        os.kill(pid, number)
    except ProcessLookupError:
        pass  # it ended meanwhile


def _send_first(folder: Path, number: int) -> bool:
    with state.first_process(folder) as pidfd:
        if pidfd is not None:
            signal.pidfd_send_signal(pidfd, number)
        return pidfd is not None


def delete(container_id: str, force: bool = False) -> None:
    """Remove what `create` made. A container that was never started ends with it, as with runc;
    by force also one that runs, and what a killed `create` has left.

    Raises:
        LabError: it runs, or there is none of this id, and `force` is false.
    """
    folder = state.containers_dir() / container_id
    if force and "/" not in container_id and not folder.exists():
        return state.remove_half_made()
    allowed: tuple[Stage, ...] = ("created", "stopped")
    if force:
        allowed = ("creating", "created", "running", "paused", "stopped")
    folder, spec = demand(container_id, "delete", *allowed)
    _end(folder, spec)
    remove(folder)


def _end(folder: Path, spec: Spec) -> None:
    """Kill all that is left of it, and wait."""
    from labrt.child import readable
    from labrt.removal import KILL_SECONDS

    with state.first_process(folder) as pidfd:
        if pidfd is not None:
            signal.pidfd_send_signal(pidfd, signal.SIGKILL)
            if (group := cgroup(spec)) is not None and group.frozen():
                group.thaw()
            readable(pidfd, KILL_SECONDS)
    if (group := cgroup(spec)) is not None:
        group.kill()


def remove(folder: Path) -> None:
    """Remove a container that has ended, and the lab's own cgroup where it was the last in it."""
    from labrt import cgroups, removal

    removal.remove(folder)
    cgroups.remove_top()


def pause(container_id: str) -> None:
    """Stop all processes of a container where they are (cgroup.freeze).

    Raises:
        LabError: it is in another state than running, or has no cgroup.
    """
    from labrt import container

    folder, spec = demand(container_id, "pause", "created", "running")
    own_cgroup(spec)
    container.pause(folder, spec)


def resume(container_id: str) -> None:
    """Let them go on.

    Raises:
        LabError: it isn't paused.
    """
    _folder, spec = demand(container_id, "resume", "paused")
    own_cgroup(spec).thaw()


def own_cgroup(spec: Spec) -> Cgroup:
    """Return a container's cgroup.

    Raises:
        LabError: it has none.
    """
    group = cgroup(spec)
    if group is None:
        answer = "it has no cgroup: this user may make none on this host"
        raise LabError(f"reach all processes of {spec.id}", answer)
    return group
