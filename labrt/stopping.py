"""Ending containers politely or by force, and waiting for their end, from any process."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path

from labrt import state
from labrt.cgroups import Cgroup
from labrt.child import readable
from labrt.container import LET_GO_SECONDS, try_lock
from labrt.errors import LabError
from labrt.removal import settle


def send_signal(folder: Path, number: int) -> bool:
    """Send a signal to a container's first process, whoever owns it; False if it has ended."""
    with state.first_process(folder) as pidfd:
        if pidfd is None:
            return False
        signal.pidfd_send_signal(pidfd, number)
        return True


def wait_ended(folder: Path, timeout: float | None = None) -> bool:
    """Wait until a container has ended and its owner has undone it and noted how.

    Returns:
        False if `timeout` seconds passed before it ended.
    """
    with state.first_process(folder) as pidfd:
        if pidfd is not None and not readable(pidfd, timeout):
            return False
    deadline = time.monotonic() + LET_GO_SECONDS
    while folder.exists() and not state.read_status(folder).finished:
        if (lock := try_lock(folder)) is not None:  # it has no owner who would
            os.close(lock)
            settle(folder)
        elif time.monotonic() > deadline:
            raise LabError(
                f"wait for the container {folder.name}", "its owner doesn't note its end"
            )
        time.sleep(0.005)
    return True


def stop(folder: Path, timeout: float | None = None) -> None:
    """Ask a container to end, kill it after `timeout` seconds (default: as declared), wait.

    Raises:
        LabError: it is gone.
    """
    record = state.read_record(folder)
    if record is None:
        raise LabError(f"stop the container {folder.name}", "it is gone")
    life = record.spec.life
    state.update_status(folder, stopping=True)  # its restart policy doesn't hold any more
    if state.read_status(folder).state != "running":
        return
    if record.spec.cgroup and (cgroup := Cgroup(record.spec.cgroup)).frozen():
        cgroup.thaw()  # a frozen process can't end politely
    send_signal(folder, signal.Signals[life.stop_signal])
    if not wait_ended(folder, life.stop_timeout if timeout is None else timeout):
        send_signal(folder, signal.SIGKILL)
        wait_ended(folder, LET_GO_SECONDS)
