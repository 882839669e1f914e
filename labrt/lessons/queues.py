"""System V IPC objects of one ipc namespace (sysvipc(7), ipc_namespaces(7)).

Message queues and shared memory are found by a key, a number that programs agree on. Which objects
there are is read from /proc/sysvipc, which shows the namespace of whoever opens it.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from labrt.errors import errno_text
from labrt.lessons.entering import nsenter, output
from labrt.lessons.observe import HasPid

# IPC_CREAT | IPC_EXCL | 0600 (msgget(2)); Python has no msgget of its own.
MAKE = """
import ctypes, os, sys
libc = ctypes.CDLL(None, use_errno=True)
made = libc.msgget(int(sys.argv[1]), 0o3600)
print("made" if made >= 0 else os.strerror(ctypes.get_errno()))
"""


def make_queue(key: int, process: int | HasPid | None = None) -> str:
    """Make a message queue; return "made", or the kernel's refusal, or that nsenter(1) is missing.

    Args:
        process: whose ipc namespace it is made in; None for one's own.
    """
    inside = [] if process is None else nsenter(process, "ipc")
    command = [*inside, sys.executable, "-I", "-c", MAKE, str(key)]
    try:
        return subprocess.run(command, capture_output=True, text=True).stdout.strip()
    except FileNotFoundError as error:
        return errno_text(error)


def remove_queue(key: int) -> None:
    """Remove a queue of one's own namespace, if it is there (ipcrm(1))."""
    subprocess.run(["ipcrm", "-Q", str(key)], capture_output=True)


def keys(process: int | HasPid | None = None) -> list[int]:
    """Return the keys of all message queues of an ipc namespace."""
    return [int(line[0]) for line in _table("msg", process)]


def segments(process: int | HasPid | None = None) -> list[int]:
    """Return the sizes of all shared memory segments of an ipc namespace, bytes."""
    return [int(line[3]) for line in _table("shm", process)]


def _table(kind: str, process: int | HasPid | None) -> list[list[str]]:
    """Return the lines of /proc/sysvipc/KIND, as a process of that namespace reads them."""
    path = f"/proc/sysvipc/{kind}"
    text = Path(path).read_text() if process is None else output(process, "ipc", "cat", path)
    return [line.split() for line in text.splitlines()[1:]]
