"""Cgroups as lessons show them: which ones a process is in, and what a container's files say.

v2's names are the language; beside each stands the file that it is on this host (cgroups(7)).
"""

from __future__ import annotations

import os
from pathlib import Path

from labrt import cgroups, handle, usage
from labrt.cgroups import Cgroup
from labrt.errors import LabError
from labrt.lessons import observe
from labrt.lessons.graph import Edge, Graph, Node
from labrt.lessons.observe import HasPid
from labrt.lessons.shown import Shown, paragraph, table

UNIFIED = "v2"  # what the unified hierarchy is called here: in /proc/PID/cgroup it has no name
NOT_HERE = "not on this host"
KINDS = {
    "v2": "cgroup v2 alone: one hierarchy for all controllers",
    "v1": "cgroup v1 alone: a hierarchy for each controller",
    "hybrid": "v1 and v2 side by side: a controller is in one or the other",
    "none": "no cgroups are mounted",
}


def stands() -> Shown:
    """Return where this host stands: v1, v2 or both, and where each controller of use is."""
    found = cgroups.layout()
    rows = [(name, "v2", str(path)) for name, path in found.v2.items()]
    rows += [(name, "v1", str(path)) for name, path in found.v1.items()]
    told = paragraph(f"This host has {KINDS[found.kind]}.")
    if reason := cgroups.unavailable():
        told += paragraph(f"No limits here: {reason}.")
    return told + table(("controller", "version", "mounted at"), rows) if rows else told


def memberships(process: int | HasPid) -> dict[str, str]:
    """Return the cgroups that a process is in: hierarchy, named by its controllers → path; {} if
    it has ended (/proc/PID/cgroup, cgroups(7))."""
    try:
        lines = Path(f"/proc/{observe.pid_of(process)}/cgroup").read_text().splitlines()
    except (FileNotFoundError, ProcessLookupError):
        return {}
    parts = [line.split(":", 2) for line in lines]
    return {names or UNIFIED: path for _number, names, path in parts}


def diagram(process: int | HasPid) -> Shown:
    """Draw this notebook's process and another one, each with its cgroup in every hierarchy where
    the two differ; the table has all hierarchies."""
    ours, theirs = memberships(os.getpid()), memberships(process)
    label = observe.name(observe.pid_of(process)) or "(ended)"
    apart = [name for name in ours if ours[name] != theirs.get(name)]
    nodes = [
        Node("p0", f"this notebook\npid {os.getpid()}"),
        Node("p1", f"{label}\npid {observe.pid_of(process)}"),
    ]
    edges = []
    for number, name in enumerate(apart):
        for who, its in enumerate((ours, theirs)):
            nodes.append(Node(f"c{number}x{who}", its.get(name, "?"), "round", _titled(name)))
            edges.append(Edge(f"p{who}", f"c{number}x{who}"))
    words = "; ".join(f"{_titled(name)}: {ours[name]} and {theirs.get(name)}" for name in apart)
    title = f"the cgroups of two processes, hierarchy by hierarchy ({len(apart)})"
    rows = [(_titled(name), ours[name], theirs.get(name, "?")) for name in ours]
    shown = table(("hierarchy", "this notebook", label), rows)
    if not apart:
        return paragraph("Both are in the same cgroups.") + shown
    return Graph(title, words or "none", nodes, edges).shown() + shown


def siblings(*files: str) -> Shown:
    """Draw the running containers' cgroups below the lab's own, each with what those v2 files say;
    the table holds the same."""
    found = [each for each in handle.containers() if each.cgroup is not None]
    rows = [(each.spec.life.name, *(_told(of(each), file)[1] for file in files)) for each in found]
    if not rows:
        return paragraph("No running container has a cgroup.")
    labels = [
        "\n".join([name, *(f"{file}: {text}" for file, text in zip(files, told, strict=True))])
        for name, *told in rows
    ]
    picture = Graph(
        f"the cgroups of {len(rows)} containers below the lab's own",
        "; ".join(label.replace("\n", ", ") for label in labels),
        [
            Node("top", f"the lab's own\n{cgroups.top()}", "round"),
            *(Node(f"c{number}", label, "round") for number, label in enumerate(labels)),
        ],
        [Edge("top", f"c{number}") for number in range(len(rows))],
    )
    return picture.shown() + table(("container", *files), rows)


def _titled(name: str) -> str:
    return "v2" if name == UNIFIED else name


def files(container: handle.Handle, *names: str) -> Shown:
    """Return v2 files of a container's cgroup: what each is on this host, and what it says.

    Raises:
        LabError: it has no cgroup, with the reason.
    """
    group = of(container)
    rows = [(name, *_told(group, name)) for name in names]
    return table(("cgroup v2", "on this host", "says"), rows)


def pressure(container: handle.Handle) -> Shown:
    """Return how long processes of a container had to wait for each resource (PSI), or that this
    host doesn't tell it for cgroups.

    Raises:
        LabError: it has no cgroup, with the reason.
    """
    found = usage.pressure(of(container))
    rows = [
        (name, kind, f"{stall.avg10:g} %", f"{stall.total / 1000:.0f} ms")
        for name, each in found.items()
        for kind, stall in (("some", each.some), ("full", each.full))
        if stall is not None
    ]
    if not rows:
        return paragraph(
            "This host keeps no pressure for cgroups: it needs v2, and PSI switched on."
        )
    return table(("waiting for", "who", "of the last 10 seconds", "in all"), rows)


def of(container: handle.Handle) -> Cgroup:
    """Return a container's cgroup.

    Raises:
        LabError: it has none, with the reason.
    """
    group = container.cgroup
    if group is None:
        raise LabError(f"look at the cgroup of {container.id}", cgroups.unavailable() or "it ended")
    return group


def _told(group: Cgroup, name: str) -> tuple[str, str]:
    try:
        text = ", ".join(group.read(name).strip().splitlines()) or "(empty)"
        first, *others = group.paths_of(name)  # all in one folder
        return ", ".join([str(first), *(path.name for path in others)]), text
    except (LabError, OSError):
        return NOT_HERE, ""


def texts(file: str) -> dict[str, str]:
    """Return what a v2 file says of each running container: its name → text. Those without a
    cgroup, or whose kernel has no such file, are left out."""
    found = {}
    for each in handle.containers():
        try:
            if each.cgroup is not None:
                found[each.spec.life.name] = each.cgroup.read(file).strip()
        except (LabError, OSError):
            continue  # it ended meanwhile
    return found


def spelled(file: str, found: dict[str, str]) -> str:
    """Return what `texts` found, for a check's "saw"."""
    told = "; ".join(f"{text} ({name})" for name, text in found.items())
    return f"{file} {told}" if found else "no running container with a cgroup"
