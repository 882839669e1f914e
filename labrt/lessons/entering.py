"""Looking from inside: the host's programs in namespaces of another process (nsenter(1), setns(2)).

Who isn't root needs the process's user namespace first, for the right to enter the others.
"""

from __future__ import annotations

import subprocess

from labrt.lessons import observe
from labrt.lessons.observe import HasPid

SECONDS = 10.0


def nsenter(process: int | HasPid, kind: str, root: bool = False) -> list[str]:
    """Return the words that let a program of the host's run in one namespace of a process.

    Args:
        kind: nsenter(1)'s option without its dashes: "ipc", "uts", "net", "time", …
        root: as root of the process's user namespace, with all capabilities there: the host's own
            ids may have no number in it, and execve(2) then takes the capabilities away.
    """
    pid = observe.pid_of(process)
    words = ["nsenter", "--target", str(pid), f"--{kind}"]
    if observe.namespace(pid, "user") != observe.namespace("self", "user"):
        words += ["--user", "--preserve-credentials", *(["--setuid", "0"] if root else [])]
    return words


def output(process: int | HasPid, kind: str, *command: str, root: bool = False) -> str:
    """Return what a program of the host's writes there; "" if it can't be run, or isn't here, which
    the lesson's first cell has told."""
    words = [*nsenter(process, kind, root), *command]
    try:
        done = subprocess.run(words, capture_output=True, text=True, timeout=SECONDS)
    except FileNotFoundError:
        return ""
    return done.stdout if done.returncode == 0 else ""
