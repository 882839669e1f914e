"""Where this host's cgroups are: v1, v2 or both, and where in them this user may make some.

Read from /proc/self/mountinfo and /proc/self/cgroup, never assumed (cgroups(7)). The lab makes
cgroups only below one of its own, `labrt…`: at the top of every hierarchy, or, for a user without
root, in the highest cgroup above this process that the user may write (systemd delegates it).

A v2 hierarchy that is mounted beside v1's ("hybrid") has few controllers or none, yet every cgroup
there can be frozen, killed and asked for its pressure and CPU time. So it is always used.

Lesson: notebook 10.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Literal, NamedTuple

from labrt import cgroup_v1, paths

TOP = "labrt"
CONTROLLERS = ("cpu", "memory", "pids", "io", "cpuset", "hugetlb", "rdma", "misc")

Kind = Literal["v2", "v1", "hybrid", "none"]


@dataclass(frozen=True)
class Layout:
    """Where this host's cgroups are, as far as this user may make some there.

    Attributes:
        kind: "v2" alone, "v1" alone, "hybrid" (both mounted), "none".
        v1: controller, by v2's name → the folder that holds the lab's own, in v1 hierarchies.
        v2: the same for the controllers of the unified hierarchy.
        unified: that folder in the v2 hierarchy, whatever controllers it has; None without one.
        forbidden: a folder where this user may make none, "" if there is none such.
    """

    kind: Kind
    v1: dict[str, Path]
    v2: dict[str, Path]
    unified: Path | None
    forbidden: str = ""

    @property
    def controllers(self) -> dict[str, Path]:
        """Every controller of use → the folder that holds the lab's own."""
        return self.v1 | self.v2

    @property
    def folders(self) -> list[Path]:
        """One folder for each hierarchy, v2's first."""
        unified = [self.unified] if self.unified else []
        return unified + sorted(set(self.v1.values()))


class Hierarchy(NamedTuple):
    """A hierarchy as it is mounted on this host.

    Attributes:
        controllers: by v1's name, "name=systemd" where it has none; empty for v2.
        point: where it is mounted.
        own: the cgroup of this process.
    """

    controllers: list[str]
    point: Path
    own: Path


@cache
def layout() -> Layout:
    """Read the layout; hosts don't change it while they run."""
    v1: dict[str, Path] = {}
    v2: dict[str, Path] = {}
    unified: Path | None = None
    forbidden = ""
    found = _hierarchies()
    for each in found:
        here = base(each)
        if here is None:
            forbidden = str(each.point)
        elif each.controllers:
            v1 |= {cgroup_v1.CONTROLLERS.get(name, name): here for name in each.controllers}
        else:
            unified = here
            offered = (here / "cgroup.controllers").read_text().split()
            v2 = {name: here for name in CONTROLLERS if name in offered}
    return Layout(_kind(found), v1, v2, unified, forbidden)


def _kind(found: list[Hierarchy]) -> Kind:
    versions = {"v1" if each.controllers else "v2" for each in found}
    if len(versions) == 2:
        return "hybrid"
    return "v1" if "v1" in versions else "v2" if versions else "none"


def top() -> str:
    """Return the name of the lab's own cgroup: another for each LAB_HOME, so that two labs on one
    host don't clean up each other's."""
    return f"{TOP}{paths.lab_suffix()}"


def own_folders() -> list[Path]:
    """Return the cgroup this process is in, in each hierarchy that the lab uses."""
    return [each.own for each in _hierarchies()]


def _hierarchies() -> list[Hierarchy]:
    """Return the hierarchies that the lab uses."""
    found = hierarchies()
    has_v2 = any(not each.controllers for each in found)
    used = {*cgroup_v1.CONTROLLERS, *(() if has_v2 else cgroup_v1.CORE)}
    kept = [each for each in found if not each.controllers or used & {*each.controllers}]
    return [each._replace(controllers=[c for c in each.controllers if c in used]) for each in kept]


def hierarchies(pid: int | None = None) -> list[Hierarchy]:
    """Return all that are mounted, as /proc/self/mountinfo names them; `own` is of another process
    where its pid is given."""
    mine = _own_paths(pid)
    found: dict[str, Hierarchy] = {}
    for line in Path("/proc/self/mountinfo").read_text().splitlines():
        before, _, after = line.partition(" - ")
        fstype, _source, options = after.split()[:3]
        names = [name for name in options.split(",") if name in mine] if fstype == "cgroup" else []
        if not names and fstype != "cgroup2":
            continue
        key = names[0] if names else ""
        root, point = before.split()[3:5]
        own = Path(point, os.path.relpath(mine.get(key, "/"), root))
        found.setdefault(key, Hierarchy(names, Path(point), own))
    return list(found.values())


def _own_paths(pid: int | None) -> dict[str, str]:
    """v1 controller, or "" for v2 → the process's cgroup (/proc/PID/cgroup, cgroups(7))."""
    own: dict[str, str] = {}
    for line in Path(f"/proc/{pid or 'self'}/cgroup").read_text().splitlines():
        _number, names, path = line.split(":", 2)
        own |= dict.fromkeys(names.split(","), path)
    return own


@cache
def every_base() -> list[Path]:
    """Return one folder for each hierarchy, those included that the lab itself has no use for: in
    these, too, a bundle's container has its cgroup below the lab's own."""
    bases = (base(each) for each in hierarchies())
    return [here for here in bases if here is not None]


def base(hierarchy: Hierarchy) -> Path | None:
    """Return the highest cgroup, from the mount point down to this process's own, that this user
    may make cgroups in."""
    return _highest(hierarchy.point, hierarchy.own)


@cache
def _highest(point: Path, own: Path) -> Path | None:
    names = own.relative_to(point).parts
    way = (point.joinpath(*names[:depth]) for depth in range(len(names) + 1))
    return next(filter(_may_make_in, way), None)


def _may_make_in(folder: Path) -> bool:
    files = [folder, folder / "cgroup.procs", folder / "cgroup.subtree_control"]
    return all(os.access(file, os.W_OK) for file in files if file.exists())


def unavailable() -> str | None:
    """Return why the lab can't make cgroups here, with the remedy, or None if it can."""
    found = layout()
    if found.kind == "none":
        return "no cgroups are mounted on this host; mount -t cgroup2 none /sys/fs/cgroup"
    if not found.controllers and found.forbidden:
        return f"uid {os.geteuid()} may not make cgroups below {found.forbidden}; {_delegation()}"
    if not found.controllers:
        return "no cgroup controller on this host; run as root on a host that enables some"
    return None


def _delegation() -> str:
    uid = os.geteuid()
    return f"run as root, or under systemd-run --user --scope where user@{uid}.service runs"
