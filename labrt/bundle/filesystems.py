"""`mounts[]` of a bundle (config.md#mounts), as the steps of `mounts.py` and `binds.py` take them.

Bind mounts are known by their option ("bind", "rbind") or by their type; the source is a path of
the host, seen from the bundle. What engines call a "cgroup" mount is cgroup v2's file system, or on
a host with v1 the folder that has one mount for each hierarchy.
"""

from __future__ import annotations

import os
from dataclasses import dataclass, replace
from pathlib import Path

from labrt import cgroups, hierarchies, labels, mount_options
from labrt.bundle.id_maps import Mappings, mappings
from labrt.bundle.reading import Value
from labrt.cgroup_layout import Hierarchy
from labrt.spec import Mount, Namespace

_OURS = ("volume", "shm", "link")  # words of the lab's own for mounts that no bundle can ask for
# What may be laid over a part of /proc: what tells of the machine, told otherwise (lxcfs). Over
# anything else there a mask or a security label would go astray (CVE-2019-16884, CVE-2023-28642).
_OVER_PROC = (
    *("cpuinfo", "diskstats", "meminfo", "stat", "swaps", "uptime", "loadavg", "slabinfo"),
    *("net/dev", "sys/kernel/ns_last_pid", "sys/crypto/fips_enabled"),
)
_LABELLED = ("tmpfs", "devpts", "mqueue", "proc", "sysfs", "cgroup", "cgroup2", "ramfs")


@dataclass(frozen=True)
class Around:
    """What a mount's meaning depends on: the container's bundle, namespaces, cgroup ("" for none)
    and id maps."""

    bundle: Path
    spaces: tuple[Namespace, ...]
    cgroup: str
    uids: Mappings
    gids: Mappings


def mounts(told: Value, around: Around, label: Value) -> tuple[Mount, ...]:
    """Declare all mounts, in order.

    Args:
        label: the SELinux context that those are to have that can.

    Raises:
        LabError: a value that is none, or one that the lab or this host can't fulfil.
    """
    found = (mount for each in told for mount in _mounts(each, around))
    return tuple(_labelled(mount, label) for mount in found)


def _labelled(mount: Mount, told: Value) -> Mount:
    label = told.text("")
    labels.check("", label)
    if not label or mount.type not in _LABELLED:
        return mount
    return replace(mount, options=(*mount.options, f'context="{label}"'))


def _mounts(told: Value, around: Around) -> list[Mount]:
    destination = "/" + os.path.normpath(told["destination"].text()).strip("/")
    if destination in ("/", "/.") or destination.startswith("/.."):  # relative: of version 1.0
        raise told["destination"].wrong(f"nothing may be laid over {told['destination'].data!r}")
    options, kind = told["options"].texts(), told["type"].text("")
    is_bind = kind == "bind" or bool({*options} & {*mount_options.BINDS})
    source = told["source"].text("")
    _check_proc(told, destination, "bind" if is_bind else kind, source)
    if "remount" in options:
        return [Mount(destination, "none", "none", options)]
    if is_bind:
        if not source:
            raise told["source"].wrong("it is missing")
        mount = Mount(destination, "bind", str(around.bundle / source), options)
        return [_mapped(told, mount, around)]
    if _is_mapped(told, options):
        raise told["options"].wrong("only a bind mount can be mapped")
    if not kind or kind in _OURS:
        raise told["type"].wrong(f"{kind!r} is no file system")
    if kind == "cgroup":
        return _cgroups(destination, options, around)
    return [Mount(destination, kind, source or kind, options)]


def _is_mapped(told: Value, options: tuple[str, ...]) -> bool:
    asked = {*options} & {*mount_options.IDMAPS}
    return bool(asked or told["uidMappings"].data or told["gidMappings"].data)


def _check_proc(told: Value, destination: str, kind: str, source: str) -> None:
    if destination != "/proc" and not destination.startswith("/proc/"):
        return
    if destination == "/proc":
        allowed = kind == "proc" or kind == "bind" and os.path.normpath(source) == "/proc"
    else:
        allowed = destination.removeprefix("/proc/") in _OVER_PROC
    if not allowed:
        raise told["destination"].wrong(f"nothing else than procfs may be at {destination}")


def _mapped(told: Value, mount: Mount, around: Around) -> Mount:
    """Return a bind mount with the id map that it is to have: its own, or the container's."""
    if not _is_mapped(told, mount.options):
        return mount
    uids, gids = mappings(told["uidMappings"]), mappings(told["gidMappings"])
    if bool(uids) != bool(gids):
        raise told.wrong("uidMappings and gidMappings go together")
    if not (uids or around.uids):
        raise told["options"].wrong("there is no map: neither the mount's nor the container's own")
    if os.geteuid() != 0:
        raise told.wrong("only root of the file system's user namespace may map its owners")
    named = {*mount.options} & {*mount_options.IDMAPS}
    return replace(
        mount,
        options=mount.options if named else (*mount.options, "idmap"),
        uid_mappings=uids or around.uids,
        gid_mappings=gids or around.gids,
    )


def _cgroups(destination: str, options: tuple[str, ...], around: Around) -> list[Mount]:
    if cgroups.layout().kind == "v2":
        return [Mount(destination, "cgroup2", "cgroup", options)]
    writable = tuple(option for option in options if option not in ("ro", "rro"))
    folders = Mount(destination, "tmpfs", "tmpfs", (*writable, "mode=755"))
    found = [folders]
    own_view = any(ns.type == "cgroup" for ns in around.spaces)
    for each in hierarchies.v1():
        place = f"{destination}/{each.point.name}"
        found.append(
            Mount(place, "cgroup", _source(each), (*options, *each.controllers))
            if own_view
            else Mount(place, "bind", str(_folder(each, around.cgroup)), ("rbind", *options))
        )
        if len(each.controllers) > 1:
            found += [
                Mount(f"{destination}/{name}", "link", each.point.name) for name in each.controllers
            ]
    if writable != options:
        found.append(Mount(destination, "none", "none", ("remount", "bind", *options)))
    return found


def _source(hierarchy: Hierarchy) -> str:
    first = hierarchy.controllers[0]
    return first.removeprefix("name=") if "=" in first else "cgroup"


def _folder(hierarchy: Hierarchy, cgroup: str) -> Path:
    """Return the container's own cgroup there: without a cgroup namespace, nothing else is to be
    seen."""
    own = hierarchies.folder(hierarchy.controllers[0], cgroup) if cgroup else None
    return own or hierarchy.own
