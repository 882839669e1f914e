"""What an engine hands to a runtime, and a runtime to its engine: descriptors that the program is
to inherit; the process's pid in a file, its terminal over a socket."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

from labrt import paths
from labrt.errors import LabError
from labrt.spec import Process

FIRST = 3  # of the descriptors that are no standard ones


def inheriting(process: Process, asked: str) -> Process:
    """Return a process that inherits the descriptors of --preserve-fds, and those before them that
    LISTEN_FDS tells of (sd_listen_fds(3)).

    Raises:
        LabError: it is no number, or one of them isn't open.
    """
    told = os.environ.get("LISTEN_FDS", "")
    listening, preserved = _count(told or "0", "LISTEN_FDS"), _count(asked, "--preserve-fds")
    for fd in range(FIRST, FIRST + listening + preserved):
        try:
            os.fstat(fd)
        except OSError:
            raise LabError(f"pass on the descriptor {fd}", "it isn't open") from None
    env = process.env + ((f"LISTEN_FDS={listening}", "LISTEN_PID=1") if listening else ())
    return replace(process, env=env, preserved_fds=listening + preserved)


def _count(text: str, where: str) -> int:
    if not text.isdecimal() or int(text) > 1024:
        raise LabError(f"read {where}", f"{text!r} is no number of descriptors")
    return int(text)


def check_console(process: Process, socket_path: str | None, detached: bool) -> None:
    """Refuse a terminal that nobody would get, or a socket for none.

    Raises:
        LabError: as it says.
    """
    if process.terminal and detached and not socket_path:
        raise LabError(
            "give the process a terminal",
            "cannot allocate tty if runc will detach without setting console socket",
            remedy="name one: --console-socket",
        )
    if socket_path and not (process.terminal and detached):
        raise LabError(
            f"use the console socket {socket_path}",
            "cannot use console socket if runc will not detach or allocate tty",
        )


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
        import socket  # here: most containers have no terminal

        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as way:
            way.connect(path)
            socket.send_fds(way, [b"/dev/ptmx"], [master])
    os.close(master)
