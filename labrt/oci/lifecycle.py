"""The life cycle as the runtime specification writes it (runtime.md): creating, created, running,
stopped; each operation only in the state that allows it.

"created" is a container whose process waits at a FIFO (`WaitForStart`). Nobody of the lab stays
with it: the engine's monitor inherits the process when the command that created it ends
(PR_SET_CHILD_SUBREAPER(2const)), and learns of its end.
"""

from __future__ import annotations

import os
import select
import signal
from pathlib import Path
from typing import Any, Literal

from labrt import container, hooks, removal, state, stopping
from labrt.cgroups import Cgroup
from labrt.container import Running, Stdio, readable
from labrt.errors import LabError
from labrt.hooks import run_all
from labrt.perform import raise_late
from labrt.process import start_failure, start_fifo
from labrt.recipe import recipe
from labrt.spec import Spec

VERSION = hooks.VERSION

Stage = Literal["creating", "created", "running", "paused", "stopped"]


def find(container_id: str) -> tuple[Path, Spec]:
    """Return a container's folder and what was declared.

    Raises:
        LabError: there is none of this id.
    """
    folder = state.containers_dir() / container_id
    record = state.read_record(folder) if "/" not in container_id else None
    if record is None:
        raise LabError(f"find the container {container_id!r}", "container does not exist")
    return folder, record.spec


def stage(folder: Path, spec: Spec) -> Stage:
    """Return where in its life a container is."""
    status = state.read_status(folder)
    if not status.pid:
        return "creating"
    if status.state != "running":
        return "stopped"
    if Path(start_fifo(spec)).exists():
        return "created"
    frozen = bool(spec.cgroup) and Cgroup(spec.cgroup).frozen()
    return "paused" if frozen else "running"


def told(folder: Path, spec: Spec) -> dict[str, Any]:
    """Return a container's state as the specification has it (runtime.md#state)."""
    now = stage(folder, spec)
    return hooks.state(spec, now, state.read_status(folder).pid if now != "stopped" else 0)


def create(spec: Spec, stdio: Stdio = (0, 1, 2)) -> Running:
    """Make a container up to the moment before its program.

    Raises:
        LabError: its id or its cgroup is taken, or it could not be made; nothing is left of it.
    """
    if (state.containers_dir() / spec.id).exists():
        raise LabError(f"create the container {spec.id}", "container with given ID already exists")
    others = map(os.path.exists, spec.own_hierarchies)
    if spec.cgroup and (Cgroup(spec.cgroup).exists() or any(others)):
        raise LabError(
            f"create the container {spec.id}",
            f"the cgroup {spec.cgroup} is there already",
            "another container's",
        )
    running = container.start(spec, stdio)
    if not spec.life.waits:
        try:
            _run_poststart(spec, running.pid)
        except LabError:
            running.kill()
            running.wait()
            running.finish()
            raise
    return running


def start(container_id: str) -> None:
    """Let a created container's program begin; return once it has begun.

    Raises:
        LabError: the container is in another state; its program could not begin, or a hook failed:
            then it has ended, and after a hook nothing is left of it (runtime.md#lifecycle).
    """
    folder, spec = find(container_id)
    _demand(folder, spec, "start", "created")
    fifo = start_fifo(spec)
    try:
        writer = os.open(fifo, os.O_WRONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError:  # ENXIO: nobody reads; ENOENT: another was quicker
        raise LabError(f"start the container {container_id}", "it isn't waiting any more") from None
    os.unlink(fifo)
    os.write(writer, b"\0")
    _await_program(writer)
    os.close(writer)
    try:
        raise_late(recipe(spec), Path(start_failure(spec)).read_bytes())
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


def _run_poststart(spec: Spec, pid: int) -> None:
    run_all("poststart", spec.hooks.poststart, spec, "running", pid, spec.life.image)


def kill(container_id: str, number: int, every: bool = False) -> None:
    """Send a signal to a container's first process, or to every one.

    Raises:
        LabError: it has ended.
    """
    folder, spec = find(container_id)
    if every:
        for pid in Cgroup(spec.cgroup).processes() if spec.cgroup else []:
            _send(pid, number)
    elif not stopping.send_signal(folder, number):
        raise LabError(f"send {container_id} a signal", "container not running")


def _send(pid: int, number: int) -> None:
    try:
        os.kill(pid, number)
    except ProcessLookupError:
        pass  # it ended meanwhile


def delete(container_id: str, force: bool = False) -> None:
    """Remove what `create` made. A container that was never started ends with it, as with runc;
    by force also one that runs, and one that isn't there is as good as removed.

    Raises:
        LabError: it runs, or there is none of this id, and `force` is false.
    """
    if force and not (state.containers_dir() / container_id).exists():
        return
    folder, spec = find(container_id)
    now = stage(folder, spec)
    if now not in ("creating", "created", "stopped") and not force:
        raise LabError(
            f"delete the container {container_id}",
            f"cannot delete container {container_id} that is not stopped: {now}",
            remedy="kill it first, or --force",
        )
    with state.first_process(folder) as pidfd:
        if pidfd is not None:
            signal.pidfd_send_signal(pidfd, signal.SIGKILL)
            if now == "paused":
                Cgroup(spec.cgroup).thaw()  # v1's freezer holds back even the dying
            readable(pidfd, removal.KILL_SECONDS)
    removal.remove(folder)


def _demand(folder: Path, spec: Spec, operation: str, *allowed: Stage) -> None:
    now = stage(folder, spec)
    if now not in allowed:
        raise LabError(
            f"{operation} the container {spec.id}",
            f"cannot {operation} a container in the {now} state",
        )


def demand_running(container_id: str, operation: str) -> tuple[Path, Spec]:
    """Return a running container's folder and declaration.

    Raises:
        LabError: there is none of this id, or it is in another state.
    """
    folder, spec = find(container_id)
    _demand(folder, spec, operation, "running")
    return folder, spec
