"""What a process's cgroups are called, from here and from where it is (cgroup_namespaces(7)).

/proc/PID/cgroup has a line for each hierarchy; the names in it are counted from the root of the
cgroup namespace of whoever reads it.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path, PurePosixPath

from labrt.lessons import entering, observe
from labrt.lessons.graph import Edge, Graph, Node
from labrt.lessons.observe import HasPid
from labrt.lessons.shown import Shown, table

Names = dict[str, str]  # hierarchy, by its controllers or "v2" → the cgroup's name


def from_here(process: int | HasPid) -> Names:
    """Return how this process calls the cgroups of another; {} if that has ended."""
    try:
        return _read(Path(f"/proc/{observe.pid_of(process)}/cgroup").read_text())
    except (FileNotFoundError, ProcessLookupError):
        return {}


def from_inside(process: int | HasPid) -> Names:
    """Return how a process calls its own cgroups; {} if its namespace can't be entered."""
    pid = observe.pid_of(process)
    if observe.namespace(pid, "cgroup") == observe.namespace("self", "cgroup"):
        return from_here(pid)
    return _read(entering.output(pid, "cgroup", "cat", f"/proc/{pid}/cgroup"))


def _read(text: str) -> Names:
    """Lines are NUMBER:CONTROLLERS:NAME; v2's is 0::NAME (cgroups(7))."""
    lines = [line.split(":", 2) for line in text.splitlines()]
    return {controllers or "v2": name for _, controllers, name in lines}


def cgroup_picture(*processes: int | HasPid) -> Shown:
    """Draw the cgroups that some processes are in, from the hierarchy's root down, and how each
    process calls its own. The table beside has every hierarchy, the picture one."""
    pids = [observe.pid_of(process) for process in processes]
    here, inside = [from_here(pid) for pid in pids], [from_inside(pid) for pid in pids]
    drawn = _telling(here)
    paths = [PurePosixPath(names.get(drawn, "/")) for names in here]
    folders = dict.fromkeys(folder for path in paths for folder in (*reversed(path.parents), path))
    keys = {folder: f"c{number}" for number, folder in enumerate(folders)}
    nodes = [
        Node(key, folder.name or "/", "round", f"the hierarchy {drawn}")
        for folder, key in keys.items()
    ]
    edges = [
        Edge(keys[folder.parent], key) for folder, key in keys.items() if folder != folder.parent
    ]
    for pid, path, names in zip(pids, paths, inside, strict=True):
        label = f"{observe.name(pid)}\npid {pid}\nreads {names.get(drawn, '?')}"
        nodes.append(Node(f"p{pid}", label))
        edges.append(Edge(keys[path], f"p{pid}", "holds"))
    rows = [
        (f"{observe.name(pid)}, {pid}", hierarchy, name, own.get(hierarchy, "?"))
        for pid, names, own in zip(pids, here, inside, strict=True)
        for hierarchy, name in names.items()
        if hierarchy == drawn or name != "/"
    ]
    picture = Graph(
        f"cgroups of {len(pids)} processes in the hierarchy {drawn}",
        "; ".join(f"{who} is in {name} and reads {own}" for who, _, name, own in rows),
        nodes,
        edges,
    )
    return picture.shown() + table(("process", "hierarchy", "seen from here", "it reads"), rows)


def _telling(names: Sequence[Names]) -> str:
    """Return a hierarchy in which somebody isn't in the root: v2's if possible."""
    below = [hierarchy for each in names for hierarchy, name in each.items() if name != "/"]
    return "v2" if "v2" in below or not below else below[0]
