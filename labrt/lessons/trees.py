"""Trees of processes, drawn from the kernel's state as it is now (PPid in proc_pid_status(5))."""

from __future__ import annotations

from collections.abc import Iterator

from labrt.lessons import observe
from labrt.lessons.graph import Edge, Graph, Node
from labrt.lessons.observe import HasPid
from labrt.lessons.shown import Shown, table

WIDEST = 30  # processes; more can't be read


def process_tree(root: int | HasPid, depth: int = 3) -> Shown:
    """Draw a process and those below it, with their numbers and pid namespaces.

    Args:
        depth: how many generations below it.
    """
    found = list(_below(observe.pid_of(root), 0, depth))[:WIDEST]
    rows = [
        ("  " * level + _name(pid), str(pid), observe.namespace(pid, "pid") or "not readable")
        for pid, _, level in found
    ]
    words = "; ".join(f"{name.strip()}, pid {pid}" for name, pid, _ in rows)
    picture = Graph(
        f"{len(found)} processes, each pointing to its children",
        words,
        [Node(f"p{pid}", f"{_name(pid)}\npid {pid}") for pid, _, _ in found],
        [Edge(f"p{parent}", f"p{pid}") for pid, parent, level in found if level],
    )
    return picture.shown() + table(("process", "pid on the host", "pid namespace"), rows)


def _below(pid: int, level: int, depth: int) -> Iterator[tuple[int, int, int]]:
    """Yield (pid, parent, generation), parents first."""
    if level == 0:
        yield pid, 0, 0
    if level < depth:
        for child in observe.children(pid):
            yield child, pid, level + 1
            yield from _below(child, level + 1, depth)


def _name(pid: int) -> str:
    return observe.name(pid) or "(ended)"
