"""Pictures of the kernel's state as it is now: which process is in which namespace.

The same facts stand in a table under each, for those who don't see pictures.
"""

from __future__ import annotations

import os
from dataclasses import dataclass

from labrt.lessons import observe
from labrt.lessons.graph import Edge, Graph, Node
from labrt.lessons.observe import HasPid
from labrt.lessons.shown import Shown, paragraph, table

KINDS = ("user", "mnt", "pid", "net", "ipc", "uts", "cgroup", "time")
UNKNOWN = "not readable"


@dataclass(frozen=True)
class Member:
    """A process as a picture shows it."""

    label: str
    pid: int
    namespace: str
    hostname: str


def diagram(kind: str, *processes: int | HasPid) -> Shown:
    """Draw this notebook's process and the given ones, each with its namespace of one kind.

    Args:
        kind: as in /proc/PID/ns: "uts", "pid", …
        processes: pids, or anything with a pid.
    """
    members = [_member(kind, os.getpid(), "this notebook")]
    members += [_member(kind, observe.pid_of(process), "") for process in processes]
    header = ["process", "pid on the host", f"{kind} namespace"]
    rows = [[m.label, str(m.pid), m.namespace] for m in members]
    if kind == "uts":
        header += ["host name in it"]
        rows = [[*row, m.hostname] for row, m in zip(rows, members, strict=True)]
    kernel = paragraph(f"All of them run on one kernel: Linux {os.uname().release}.")
    return graph(kind, members).shown() + table(header, rows) + kernel


def graph(kind: str, members: list[Member]) -> Graph:
    """Return the picture: each process points to its namespace, all of them in one kernel."""
    homes = list(dict.fromkeys(member.namespace for member in members))
    kernel = f"one kernel: Linux {os.uname().release}"
    return Graph(
        f"{kind} namespaces of {len(members)} processes",
        _described(kind, members),
        [
            *(Node(f"p{n}", f"{m.label}\npid {m.pid}") for n, m in enumerate(members)),
            *(
                Node(f"n{n}", _titled(kind, home, members), "round", kernel)
                for n, home in enumerate(homes)
            ),
        ],
        [Edge(f"p{n}", f"n{homes.index(m.namespace)}") for n, m in enumerate(members)],
    )


def compare_namespaces(process: int | HasPid) -> Shown:
    """Return all eight namespaces of this notebook and of another process, side by side."""
    ours = observe.namespaces_of("self") or {}
    theirs = observe.namespaces_of(observe.pid_of(process)) or {}
    rows = []
    for kind in KINDS:
        here, there = ours.get(kind, UNKNOWN), theirs.get(kind, UNKNOWN)
        shared = "unknown" if UNKNOWN in (here, there) else "shared" if here == there else "its own"
        rows.append((kind, here, there, shared))
    return table(("kind", "this notebook", "the other process", "so it is"), rows)


def _member(kind: str, pid: int, label: str) -> Member:
    namespace = observe.namespace(pid, kind) or UNKNOWN
    hostname = (observe.hostname(pid) if kind == "uts" else None) or UNKNOWN
    return Member(label or observe.name(pid) or "(ended)", pid, namespace, hostname)


def _described(kind: str, members: list[Member]) -> str:
    parts = [f"{m.label}, pid {m.pid}, is in {_titled(kind, m.namespace, [m])}" for m in members]
    return "; ".join(parts)


def _titled(kind: str, namespace: str, members: list[Member]) -> str:
    if kind != "uts":
        return namespace
    hostname = next(m.hostname for m in members if m.namespace == namespace)
    return f"{namespace} with host name {hostname}"
