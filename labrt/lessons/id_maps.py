"""Which ids of a user namespace are which ids here (uid_map in user_namespaces(7))."""

from __future__ import annotations

from pathlib import Path

from labrt.lessons import observe
from labrt.lessons.graph import Edge, Graph, Node
from labrt.lessons.observe import HasPid
from labrt.lessons.shown import Shown, paragraph, table
from labrt.spec import IdMapping

UNMAPPED = "every other uid of the host"


def uid_map(process: int | HasPid) -> list[IdMapping]:
    """Return the map of a process's user namespace, as this process's namespace counts; [] if none
    is written yet, or the process has ended."""
    try:
        text = Path(f"/proc/{observe.pid_of(process)}/uid_map").read_text()
    except OSError:
        return []
    return [IdMapping(*map(int, line.split())) for line in text.splitlines()]


def overflow_uid() -> int:
    """Return what an id without a map is shown as, usually 65534 (proc_sys_kernel(5))."""
    return int(Path("/proc/sys/kernel/overflowuid").read_text())


def id_picture(process: int | HasPid) -> Shown:
    """Draw which uids inside are which outside."""
    space = observe.namespace(observe.pid_of(process), "user") or "not readable"
    rows = [
        (_range(each.container_id, each.size), _range(each.host_id, each.size), str(each.size))
        for each in uid_map(process)
    ]
    nodes = []
    for number, (inside, outside, _) in enumerate(rows):
        nodes.append(Node(f"i{number}", f"uid {inside}", "round", f"inside, {space}"))
        nodes.append(Node(f"o{number}", f"uid {outside}", "round", "outside, on the host"))
    nodes.append(
        Node("in", f"uid {overflow_uid()}: whoever has no number inside", "box", f"inside, {space}")
    )
    nodes.append(Node("on", UNMAPPED, "box", "outside, on the host"))
    edges = [Edge(f"i{number}", f"o{number}", "is") for number in range(len(rows))]
    picture = Graph(
        f"uids of {space}",
        "; ".join(f"uid {inside} inside is {outside} outside" for inside, outside, _ in rows),
        nodes,
        [*edges, Edge("on", "in", "is shown as")],
    )
    shown = picture.shown() + table(("uids inside", "uids on the host", "how many"), rows)
    return shown + paragraph(f"Inside, {UNMAPPED} is shown as {overflow_uid()}.")


def _range(first: int, size: int) -> str:
    return str(first) if size == 1 else f"{first}–{first + size - 1}"
