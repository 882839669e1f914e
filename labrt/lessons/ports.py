"""Ports on which somebody listens, in the network namespace of a process (proc_pid_net(5))."""

from __future__ import annotations

from pathlib import Path

from labrt.lessons import observe
from labrt.lessons.observe import HasPid

LISTEN = "0A"  # TCP_LISTEN in include/net/tcp_states.h


def listening(process: int | HasPid | str) -> set[int]:
    """Return the TCP ports; none if the process has ended or is somebody else's.

    Args:
        process: its host pid, anything with one, or "self".
    """
    pid = process if isinstance(process, str) else observe.pid_of(process)
    return _listed(f"/proc/{pid}/net/tcp") | _listed(f"/proc/{pid}/net/tcp6")


def _listed(path: str) -> set[int]:
    try:
        lines = [line.split() for line in Path(path).read_text().splitlines()[1:]]
    except OSError:
        return set()  # ended; or this kernel has no IPv6
    return {
        int(local.rpartition(":")[2], 16) for _, local, _, state, *_ in lines if state == LISTEN
    }
