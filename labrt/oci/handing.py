"""What a runtime hands to its engine: the process's pid in a file, its terminal over a socket."""

from __future__ import annotations

import os
import socket
from pathlib import Path

from labrt import paths


def write_pid(file: str | None, pid: int) -> None:
    """Write a pid file, whole and without a newline, where one was asked for."""
    if file:
        paths.write_whole(Path(file), str(pid).encode())


def send_terminal(path: str | None, master: int) -> None:
    """Send a terminal's master end over the engine's socket (SCM_RIGHTS in unix(7)), if there are
    both; close it.

    Raises:
        OSError: the engine's socket doesn't take it.
    """
    if master < 0:
        return
    if path:
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as way:
            way.connect(path)
            socket.send_fds(way, [b"/dev/ptmx"], [master])
    os.close(master)
