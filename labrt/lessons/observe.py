"""The kernel's state of processes and containers, seen from the host.

Everything is read from /proc (proc(5)) at the moment it is asked for. A process may end at any
time, and other users' processes hide their namespaces: both answer None.
"""

from __future__ import annotations

import fcntl
import os
import time
from pathlib import Path
from typing import Protocol

from labrt import namespaces, state


class HasPid(Protocol):
    """Anything with a pid: a labrt container, a subprocess.Popen."""

    @property
    def pid(self) -> int: ...


def pid_of(process: int | HasPid) -> int:
    return process if isinstance(process, int) else process.pid


def containers() -> list[int]:
    """Return the host pids of the first processes of this LAB_HOME's containers, whoever started
    them: the children of a container's owner that have a pid namespace of their own."""
    found = set()
    for owner in _owners():
        ours = namespace(owner, "pid")
        theirs = {pid: namespace(pid, "pid") for pid in children(owner)}
        found |= {pid for pid, its in theirs.items() if its is not None and its != ours}
    return sorted(found)


def _owners() -> set[int]:
    """Return the pids that hold a container's record locked (labrt/state.py)."""
    folder = state.containers_dir()
    entries = list(folder.iterdir()) if folder.is_dir() else []
    records = {entry: state.read_record(entry) for entry in entries}
    return {record.owner for entry, record in records.items() if record and _locked(entry)}


def _locked(folder: Path) -> bool:
    try:
        with (folder / "record").open() as handle:
            fcntl.flock(handle, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except FileNotFoundError:
        pass  # undone meanwhile
    return False


def namespace(pid: int | str, kind: str) -> str | None:
    """Return a namespace's identity as namespaces(7) writes it, "uts:[4026531838]".

    Args:
        pid: host pid, or "self".
        kind: its name in /proc/PID/ns.
    """
    try:
        return os.readlink(f"/proc/{pid}/ns/{kind}")
    except (FileNotFoundError, ProcessLookupError, PermissionError):
        return None


def namespaces_of(pid: int | str) -> dict[str, str] | None:
    """Return all its namespaces, kind → identity."""
    try:
        return namespaces.read(pid)
    except (FileNotFoundError, ProcessLookupError, PermissionError):
        return None


def hostname(pid: int) -> str | None:
    """Return the host name that a process sees: `uname -n`, run in its uts namespace.

    /proc/sys/kernel/hostname would tell the reader's own name, so nsenter(1) goes in.
    """
    if namespace(pid, "uts") == namespace("self", "uts"):
        return os.uname().nodename
    from labrt.lessons import entering

    return entering.output(pid, "uts", "uname", "-n").strip() or None


def command(pid: int) -> list[str]:
    """Return a process's arguments; [] if it has ended."""
    try:
        return Path(f"/proc/{pid}/cmdline").read_text(errors="replace").split("\0")[:-1]
    except (FileNotFoundError, ProcessLookupError):
        return []


def environment(pid: int) -> dict[str, str]:
    """Return the environment that a process was started with; {} if it has ended, or is somebody
    else's (proc_pid_environ(5))."""
    try:
        text = Path(f"/proc/{pid}/environ").read_text(errors="replace")
    except (FileNotFoundError, ProcessLookupError, PermissionError):
        return {}
    return dict(entry.split("=", 1) for entry in text.split("\0") if "=" in entry)


def start_time(pid: int) -> float:
    """Return when a process was started, seconds since the epoch, to a clock tick; 0.0 if it has
    ended (starttime in proc_pid_stat(5), which counts from boot)."""
    ticks = state.birth(pid)
    boot = time.time() - time.clock_gettime(time.CLOCK_BOOTTIME)
    return boot + ticks / os.sysconf("SC_CLK_TCK") if ticks else 0.0


def name(pid: int) -> str:
    """Return a process's short name, "" if it has ended (proc_pid_comm(5))."""
    try:
        return Path(f"/proc/{pid}/comm").read_text(errors="replace").strip()
    except (FileNotFoundError, ProcessLookupError):
        return ""


def pids(process: int | HasPid) -> list[int]:
    """Return a process's pids, the host's first, then one for each nested pid namespace (NSpid in
    proc_pid_status(5)); [] if it has ended."""
    try:
        status = Path(f"/proc/{pid_of(process)}/status").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return []
    line = next(line for line in status.splitlines() if line.startswith("NSpid:"))
    return [int(word) for word in line.split()[1:]]


def status(process: int | HasPid, *names: str) -> str:
    """Return those lines of a process's /proc/PID/status, "" if it has ended."""
    try:
        text = Path(f"/proc/{pid_of(process)}/status").read_text(errors="replace")
    except (FileNotFoundError, ProcessLookupError):
        return ""
    return "\n".join(line for line in text.splitlines() if line.partition(":")[0] in names)


def weight(process: int | HasPid) -> int:
    """Return a process's PSS, its memory with shared pages shared out among their users, bytes; 0
    if it has ended (proc_pid_smaps(5))."""
    try:
        text = Path(f"/proc/{pid_of(process)}/smaps_rollup").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return 0
    line = next(line for line in text.splitlines() if line.startswith("Pss:"))
    return int(line.split()[1]) * 1024


def processes() -> list[int]:
    """Return every pid of the host that this process can see."""
    return sorted(int(entry.name) for entry in Path("/proc").iterdir() if entry.name.isdigit())


def strangers(kind: str) -> list[int]:
    """Return the processes in a namespace of that kind that is neither this one's nor one that a
    container's first process is in."""
    known = {namespace(pid, kind) for pid in containers()} | {None, namespace("self", kind)}
    return [pid for pid in processes() if namespace(pid, kind) not in known]


def descendants(pid: int) -> list[int]:
    """Return the pids of a process's children, their children, and so on."""
    found: list[int] = []
    waiting = [pid]
    while waiting:
        below = children(waiting.pop())
        found += below
        waiting += below
    return sorted(found)


def children(parent: int) -> list[int]:
    """Return the pids of a process's children."""
    return [pid for pid in processes() if _parent(pid) == parent]


def _parent(pid: int) -> int | None:
    try:
        text = Path(f"/proc/{pid}/stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return None
    return int(text.rpartition(")")[2].split()[1])
