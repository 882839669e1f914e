"""`mounts[]` of a bundle (config.md#mounts), as the steps of `mounts.py` and `binds.py` take them.

Bind mounts are known by their option ("bind", "rbind") or by their type; the source is a path of
the host, seen from the bundle. What engines call a "cgroup" mount is cgroup v2's file system, or on
a host with v1 the folder that has one mount for each hierarchy.
"""

from __future__ import annotations

from pathlib import Path

from labrt import cgroups
from labrt.bundle.reading import Value
from labrt.spec import Mount

_BINDS = ("bind", "rbind")


def mounts(bundle: Path, told: Value) -> tuple[Mount, ...]:
    """Declare all mounts, in order.

    Raises:
        LabError: a value that is none.
    """
    return tuple(mount for each in told for mount in _mounts(bundle, each))


def _mounts(bundle: Path, told: Value) -> list[Mount]:
    destination = told["destination"].text()
    if not destination.startswith("/"):
        destination = f"/{destination}"  # config.md: relative ones are of version 1.0
    options, kind = told["options"].texts(), told["type"].text("")
    if kind == "bind" or set(options) & set(_BINDS):
        source = str(bundle / told["source"].text())
        return [Mount(destination, "bind", source, options)]
    if kind == "cgroup":
        return _cgroups(destination, options)
    return [Mount(destination, kind, told["source"].text(kind), options)]


def _cgroups(destination: str, options: tuple[str, ...]) -> list[Mount]:
    if cgroups.layout().kind == "v2":
        return [Mount(destination, "cgroup2", "cgroup", options)]
    writable = tuple(option for option in options if option != "ro")
    folders = Mount(destination, "tmpfs", "tmpfs", (*writable, "mode=755"))
    hierarchies = [
        Mount(f"{destination}/{name}", "cgroup", "cgroup", (*options, name))
        for name in sorted({folder.name for folder in cgroups.layout().v1.values()})
    ]
    return [folders, *hierarchies]
