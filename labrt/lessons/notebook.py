"""The first and the last cell of a notebook: what this host can do, and leaving nothing behind."""

from __future__ import annotations

import os
import select
import signal
import sys
from collections.abc import Callable
from types import TracebackType
from typing import Any

from labrt.errors import LabError
from labrt.lessons import ledger, needs
from labrt.lessons.lesson import lesson
from labrt.lessons.needs import Need
from labrt.lessons.shown import Shown, paragraph, table, told

WAIT_SECONDS = 5.0  # for a killed process to end


def begin(key: str) -> Shown:
    """Begin a lesson: try what it needs and tell what is missing, with the remedy.

    From here on a LabError in this notebook is told in one line.

    Raises:
        LabError: not Linux, no such lesson, or the ledger can't be written.
    """
    _tell_errors_in_one_line()
    needs.linux()
    found = lesson(key)
    ledger.record("begin", key)
    failures = [_tried(need) for need in found.needs]
    missing = sum(failure is not None for failure in failures)
    verdict = f"{missing} needs missing" if missing else "everything it needs is here"
    rows = [
        (need.what, "missing" if failure else "ok", need.purpose)
        for need, failure in zip(found.needs, failures, strict=True)
    ]
    shown = told(f"Lesson {key}, {found.title}: {verdict}", [])
    shown += table(("need", "here", "for"), rows)
    for failure in filter(None, failures):
        shown += paragraph(str(failure))
    kept = f"Your predictions and checks are kept in {ledger.path()}, on this machine only."
    return shown + paragraph(kept)


_ends: list[tuple[str, Callable[[], int]]] = []


def at_clean_up(what: str, end: Callable[[], int]) -> None:
    """Have `clean_up` call `end`, which ends what the caller has started and returns how many.

    Args:
        what: how the number is told: "virtual machines ended".
    """
    if (what, end) not in _ends:  # a cell may be run again
        _ends.append((what, end))


def clean_up() -> Shown:
    """End what this notebook started: what was handed to `at_clean_up`, its containers, processes
    in namespaces of their own, and cgroups made by hand with the processes in them.

    Raises:
        LabError: this notebook itself is in such a cgroup.
    """
    from labrt import launching
    from labrt.lessons import by_hand, observe

    more = []
    while _ends:  # first: a process among them is no other one's then
        what, end = _ends.pop()
        more.append((what, str(end())))
    started = set(observe.descendants(os.getpid()))
    containers = started & set(observe.containers())
    launching.close_launcher()
    others = _apart()
    for pid in others:
        _kill(pid)
    removed = by_hand.remove()
    left = sorted(started & set(observe.containers())) + _apart()
    facts = [
        ("containers ended", str(len(containers))),
        ("other processes ended", str(len(others))),
        *([("cgroups removed", str(removed))] if removed else []),
        *more,
        ("left", ", ".join(map(str, left)) or "nothing"),
    ]
    return told("Clean-up", facts)


def _tried(need: Need) -> LabError | None:
    """Try a need; return what is missing, with the remedy, or None."""
    try:
        need.probe()
    except LabError as error:
        return error
    return None


def _apart() -> list[int]:
    """Return this process's descendants that don't share all its namespaces, and the virtual
    machines among them, which do."""
    from labrt.lessons import machines, observe

    ours = observe.namespaces_of("self")
    theirs = {pid: observe.namespaces_of(pid) for pid in observe.descendants(os.getpid())}
    return [
        pid
        for pid, its in theirs.items()
        if its not in (None, ours) or observe.name(pid).startswith(machines.PROGRAM)
    ]


def _kill(pid: int) -> None:
    """Kill a process and wait for its end (pidfd_open(2))."""
    try:
        pidfd = os.pidfd_open(pid)
    except ProcessLookupError:
        return
    try:
        signal.pidfd_send_signal(pidfd, signal.SIGKILL)
        poll = select.poll()
        poll.register(pidfd, select.POLLIN)
        poll.poll(WAIT_SECONDS * 1000)
        os.waitid(os.P_PIDFD, pidfd, os.WEXITED | os.WNOHANG)
    except (ProcessLookupError, ChildProcessError):
        pass  # ended meanwhile; or another process's child, which reaps it
    finally:
        os.close(pidfd)


def _tell_errors_in_one_line() -> None:
    """Have IPython, where this runs in it, print a LabError instead of a traceback."""
    ipython = sys.modules.get("IPython")
    shell = ipython.get_ipython() if ipython else None
    if shell is not None:
        shell.set_custom_exc((LabError,), _tell)


def _tell(
    shell: Any, kind: type, error: LabError, trace: TracebackType, tb_offset: int | None = None
) -> None:
    print(f"labrt: {error}", file=sys.stderr)
