"""What a process has of its parent unasked: limits, cgroups, namespaces, credentials.

A container has all of it that its recipe doesn't change. So who starts one in another's stead
(`forkserver.py`) must be like that other, as far as /proc tells, or become so: anybody can take on
another's environment, folder, umask and signals; root also its limits and its cgroups.

Man pages: fork(2), execve(2), proc(5), credentials(7).
"""

from __future__ import annotations

import os
import resource
from pathlib import Path

from labrt import cgroup_layout, paths, rlimits, syscalls

_FILES = ("limits", "cgroup", "oom_score_adj", "personality", "coredump_filter", "attr/current")
_STATUS = (
    *("Uid", "Gid", "Groups", "CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"),
    *("NoNewPrivs", "Seccomp", "Seccomp_filters", "Cpus_allowed", "Mems_allowed"),
)
_SCHEDULING = {"nice": 18, "rt_priority": 39, "policy": 40}  # proc_pid_stat(5), counted from 0


def differences(pid: int) -> list[str]:
    """Return by name what a child of this process would have that a child of `pid` wouldn't.

    Raises:
        OSError: it has ended, or this user may not look.
    """
    ours, theirs = of(os.getpid()), of(pid)
    return [name for name in ours | theirs if ours.get(name) != theirs.get(name)]


def _take_on_limits(pid: int) -> None:
    for number in rlimits.NUMBERS.values():
        resource.setrlimit(number, resource.prlimit(pid, number))


def _take_on_cgroups(pid: int) -> None:
    ours = cgroup_layout.hierarchies()
    for here, there in zip(ours, cgroup_layout.hierarchies(pid), strict=True):
        if here.own != there.own:  # by v1's `tasks` without a lock on the whole host (cgroups.py)
            paths.write(there.own / ("tasks" if there.controllers else "cgroup.procs"), "0")


def _take_on_oom_score(pid: int) -> None:
    paths.write("/proc/self/oom_score_adj", paths.read(f"/proc/{pid}/oom_score_adj"))


# What root can make like another process's, by the names of `differences`: call with its pid.
# An OSError: it has ended, or its cgroup is gone.
TAKE_ON = {
    "limits": _take_on_limits,
    "cgroup": _take_on_cgroups,
    "oom_score_adj": _take_on_oom_score,
}


def of(pid: int) -> dict[str, object]:
    """Return what a child of the process would have, by name.

    Raises:
        OSError: it has ended, or this user may not look.
    """
    folder = f"/proc/{pid}"
    root = os.stat(f"{folder}/root")
    fields = status(pid)
    return {
        "root": (root.st_dev, root.st_ino),
        "I/O priority": syscalls.ioprio_get(pid),
        **{f"ns/{name}": os.readlink(f"{folder}/ns/{name}") for name in os.listdir(f"{folder}/ns")},
        **{name: _text(f"{folder}/{name}") for name in _FILES},
        **{name: fields.get(name) for name in _STATUS},
        **_scheduling(folder),
    }


def status(pid: int) -> dict[str, str]:
    """Return /proc/PID/status: by name, the text (proc_pid_status(5))."""
    lines = Path(f"/proc/{pid}/status").read_text(errors="replace").splitlines()
    pairs = (line.partition(":") for line in lines)
    return {name: text.strip() for name, _, text in pairs}


def _text(file: str) -> str:
    """A file's text; "" where the kernel hasn't got it (attr/current without a security module)."""
    try:
        return Path(file).read_text()
    except (FileNotFoundError, PermissionError):
        raise
    except OSError:
        return ""


def _scheduling(folder: str) -> dict[str, str]:
    after_name = Path(f"{folder}/stat").read_text(errors="replace").rpartition(")")[2].split()
    return {name: after_name[index - 2] for name, index in _SCHEDULING.items()}
