"""Removing containers, also those whose owner has died: from their record, undoing the recipe."""

from __future__ import annotations

import os
import signal
import time
from contextlib import suppress
from pathlib import Path

from labrt import events, state
from labrt.child import readable
from labrt.container import lock_ended, note_end, try_lock
from labrt.errors import LabError
from labrt.perform import undo
from labrt.recipe import recipe
from labrt.spec import Spec
from labrt.state import Status
from labrt.step import Context

KILL_SECONDS = 10.0  # a process that SIGKILL doesn't end by then hangs in the kernel


def remove_dead() -> list[str]:
    """Undo what dead owners left undone; return the ids of the containers that are gone.

    A detached container that has outlived its launcher lives on. One that has ended and is kept is
    kept. One of an earlier boot is no more than a folder, and goes.
    """
    state.remove_half_made()
    return [folder.name for folder in state.folders() if settle(folder)]


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
    while (lock := try_lock(folder)) is None and folder.exists():
        if owner and not asked:
            with suppress(ProcessLookupError):  # killed: its child, which ends, has the lock yet
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
    lock = lock_ended(folder)
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


def _remove(folder: Path, lock: int) -> None:
    """Undo a container whose lock is ours, from its record, whatever state it is in."""
    record = state.read_record(folder)
    if record is None:  # the owner died before any other step
        state.remove_tree(folder)
        os.close(lock)
        return
    _kill_first(folder)
    undo(recipe(record.spec), Context(record.spec, lock=lock))
    events.record(record.spec, "destroy")


def settle(folder: Path) -> bool:
    """Undo what an owner that died left undone; True if nothing of the container is left."""
    lock = try_lock(folder)
    if lock is None:
        return not folder.exists()
    record, status = state.read_record(folder), state.read_status(folder)
    if record is None or _goes(folder, record.spec, status):
        _remove(folder, lock)
        return True
    if not _lives_on(record.spec, status) and status.pid and not status.finished:
        _kill_first(folder)
        context = Context(record.spec, lock=lock)
        note_end(record.spec, context, None)
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


def _kill_first(folder: Path) -> None:
    """Kill the first process of a container whose owner is gone; with it ends its pid namespace."""
    with state.first_process(folder) as pidfd:
        if pidfd is not None:
            signal.pidfd_send_signal(pidfd, signal.SIGKILL)
            readable(pidfd, KILL_SECONDS)
