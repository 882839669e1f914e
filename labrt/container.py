"""A container's life: started from its spec, ended by exit or by force, and undone.

This is the single-threaded side: it clones. The command line uses it directly; a library user in a
threaded process (a notebook) reaches it through `labrt/client.py` and `labrt/launcher.py`.
"""

from __future__ import annotations

import os
import select
import signal
import time
from dataclasses import dataclass
from pathlib import Path

from labrt import state
from labrt.errors import LabError
from labrt.perform import Hook, Timed, perform, undo
from labrt.recipe import recipe
from labrt.spec import Spec
from labrt.step import Context, Step

# Exit statuses as Docker's users know them, for what happens before the program runs.
NOT_STARTED = 125
NOT_EXECUTABLE = 126
NOT_FOUND = 127


@dataclass
class Running:
    """A started container, owned by this process. Leaving the `with` block ends and undoes it."""

    steps: list[Step]
    context: Context
    trace: list[Timed]
    exit_code: int | None = None

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
        """End it by force where it still runs, and undo every step."""
        undo(self.steps, self.context)

    def __enter__(self) -> Running:
        return self

    def __exit__(self, *exc: object) -> None:
        self.finish()


def start(
    spec: Spec, stdio: tuple[int, int, int] = (0, 1, 2), hook: Hook = lambda step: None
) -> Running:
    """Start a container.

    Args:
        stdio: descriptors of this process that become its standard input, output and error.
        hook: called before each step, on the step's own side.

    Raises:
        LabError: it could not be started; everything is undone.
    """
    steps = recipe(spec)
    context = Context(spec, stdio=stdio)
    trace = perform(steps, context, hook)
    return Running(steps, context, trace)


def remove_dead() -> list[str]:
    """Undo the containers whose owner no longer lives; return their ids."""
    return [folder.name for folder in _state_dirs() if _undo_unowned(folder)]


def remove_all(timeout: float = 5.0) -> list[str]:
    """End and undo every container of this LAB_HOME; return their ids.

    A living owner (a `labrt run`, a launcher) is asked by SIGTERM, and undoes its own.

    Raises:
        LabError: an owner had not let go after `timeout` seconds.
    """
    removed = []
    deadline = time.monotonic() + timeout
    for folder in _state_dirs():
        record = state.read_record(folder)
        owner = record.owner if record else 0
        asked = False
        while not _undo_unowned(folder):
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
        removed.append(folder.name)
    return removed


def _state_dirs() -> list[Path]:
    parent = state.containers_dir()
    return sorted(parent.iterdir()) if parent.is_dir() else []


def _undo_unowned(folder: Path) -> bool:
    """Undo one container from its record, unless an owner lives. True if it is gone."""
    try:
        lock = state.try_lock(folder)
    except FileNotFoundError:
        return True  # its owner undid it meanwhile
    if lock is None:
        return False
    record = state.read_record(folder)
    if record is None:  # the owner died before any other step
        state.remove_tree(folder)
        os.close(lock)
        return True
    undo(recipe(record.spec), Context(record.spec, lock=lock))
    return True


def _readable(pidfd: int, timeout: float | None) -> bool:
    poll = select.poll()
    poll.register(pidfd, select.POLLIN)
    return bool(poll.poll(None if timeout is None else timeout * 1000))


def _reap(pidfd: int) -> int:
    result = os.waitid(os.P_PIDFD, pidfd, os.WEXITED)
    assert result is not None, "WNOHANG was not asked for"
    return result.si_status if result.si_code == os.CLD_EXITED else 128 + result.si_status
