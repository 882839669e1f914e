"""Declaring a container of a bundle: from `config.json` to a `Spec`, field by field.

The runtime specification, config.md and config-linux.md, in its order. What each field becomes is
in docs/oci.md, which a test holds against the specification's own list.
"""

from __future__ import annotations

import os
import time
from pathlib import Path

from labrt import memory_policy, nsfs, state, sysctl, time_namespace
from labrt.bundle import devices, filesystems, filters, processes, programs, resources
from labrt.bundle.id_maps import Mappings, mappings
from labrt.bundle.reading import I64, Value
from labrt.errors import LabError
from labrt.process import PERSONALITIES
from labrt.spec import (
    Life,
    MemoryPolicy,
    Namespace,
    NamespaceType,
    Network,
    Root,
    Spec,
)

_ALSO_IN_IDS = "_+.-"  # as runc has it
_ID_MAX = 200  # characters; a folder of that name must fit
_NAME_MAX = 64  # bytes of a host or domain name (uname(2))
_PROPAGATIONS = ("shared", "slave", "private", "unbindable")
_MODES = tuple(f"{r}{kind}" for kind in _PROPAGATIONS for r in ("", "r"))  # as engines write them


def declare(container_id: str, bundle: Path, config: Value, scoped: bool = False) -> Spec:
    """Declare the container of a bundle; nothing happens yet.

    Args:
        scoped: its cgroup is to be in a scope of systemd's.

    Raises:
        LabError: a value that is none, or one that the lab or this host can't fulfil.
    """
    check_id(container_id)
    _check_version(config["ociVersion"])
    linux = config["linux"]
    _refuse(linux)
    spaces = _namespaces(linux)
    uids, gids = _both_mappings(linux, spaces)
    root = _root(bundle, config["root"])
    told = config["process"]
    if not told:
        raise told.wrong("it is missing: there is nothing to run")
    cgroup = resources.cgroup(container_id, linux["cgroupsPath"], scoped)
    limits = resources.limits(cgroup, linux["resources"])
    around = filesystems.Around(bundle, spaces, cgroup, uids, gids)
    spec = Spec(
        id=container_id,
        image_digest="",
        state_dir=str(state.containers_dir() / container_id),
        hostname=_name_of_uts(config["hostname"], spaces),
        domainname=_name_of_uts(config["domainname"], spaces),
        process=processes.process(told, any(ns.type == "user" for ns in spaces)),
        root=root,
        life=Life(
            name=container_id,
            image=str(bundle),
            created=time.time(),
            detached=True,
            waits=True,
            remove=False,
        ),
        namespaces=spaces,
        uid_mappings=uids,
        gid_mappings=gids,
        mounts=filesystems.mounts(config["mounts"], around, linux["mountLabel"]),
        rootfs_propagation=linux["rootfsPropagation"].choice(_MODES, "private"),
        masked_paths=_absolute(linux["maskedPaths"]),
        readonly_paths=_absolute(linux["readonlyPaths"]),
        seccomp=filters.profile(linux["seccomp"]),
        sysctl=_sysctl(linux["sysctl"], spaces),
        time_offsets=_time_offsets(linux["timeOffsets"], spaces),
        network=Network(),
        cgroup=cgroup,
        scoped=scoped,
        resources=limits.files,
        v1_files=limits.v1_files,
        own_hierarchies=resources.other_hierarchies(cgroup),
        devices=devices.nodes(linux["devices"]),
        device_rules=devices.rules(linux["resources"]["devices"]) if cgroup else (),
        hooks=programs.hooks(config["hooks"]),
        annotations=_annotations(config["annotations"]),
        personality=_personality(linux["personality"]),
        memory_policy=_memory_policy(linux["memoryPolicy"]),
    )
    _check_mount_namespace(spec, linux)
    return spec


def check_id(container_id: str) -> None:
    """Refuse an id that could name a folder elsewhere.

    Raises:
        LabError: it could.
    """
    known = container_id.isascii() and all(c.isalnum() or c in _ALSO_IN_IDS for c in container_id)
    if not known or not 0 < len(container_id) <= _ID_MAX or container_id in (".", ".."):
        raise LabError(
            f"call a container {container_id[:250]!r}",
            "letters, digits and _ + - . are an id, up to 200 of them",
        )


def _check_version(told: Value) -> None:
    if told.text().split(".")[0] != "1" or told.text().count(".") < 2:
        raise told.wrong(f"{told.data!r} is none of the versions 1.x")


def _refuse(linux: Value) -> None:
    """What of the specification the lab hasn't got."""
    linux["intelRdt"].refuse("the lab doesn't partition the processors' caches (resctrl)")
    linux["netDevices"].refuse(
        "the lab moves no interfaces of the host's", "a createRuntime hook can: ip link set netns"
    )


def _root(bundle: Path, told: Value) -> Root:
    path = bundle / told["path"].text()
    if not path.is_dir():
        raise told["path"].wrong(f"{path} is no folder")
    if str(path.resolve()) != os.path.normpath(path) or path.resolve() == Path("/"):
        raise told["path"].wrong(f"{path} is a link, or goes by one, or is the host's own root")
    return Root(path=os.path.normpath(path), readonly=told["readonly"].flag())


def _namespaces(linux: Value) -> tuple[Namespace, ...]:
    found = [_namespace(each) for each in linux["namespaces"]]
    if len({each.type for each in found}) < len(found):
        raise linux["namespaces"].wrong("one is there twice")
    return tuple(found)


def _namespace(told: Value) -> Namespace:
    kind: NamespaceType = told["type"].choice(tuple(nsfs.FILES))  # type: ignore[assignment]
    path = told["path"].text("")
    if not os.path.exists(f"/proc/self/ns/{nsfs.FILES[kind]}"):
        raise told["type"].wrong(f"this kernel has no {kind} namespaces")
    if path:
        _check_kind(told["path"], path, kind)
    return Namespace(kind, path)


def _check_kind(told: Value, path: str, kind: NamespaceType) -> None:
    if not path.startswith("/"):
        raise told.wrong(f"{path!r} is not an absolute path")
    try:
        with nsfs.opened(path) as fd:
            found: str = nsfs.kind(fd)
    except OSError as error:
        found = "missing" if isinstance(error, FileNotFoundError) else "something else"
    if found != kind:
        raise told.wrong(f"{path} is no {kind} namespace ({found})")


def _both_mappings(linux: Value, spaces: tuple[Namespace, ...]) -> tuple[Mappings, Mappings]:
    """Return the id maps; () where it joins a user namespace, which has its own already."""
    user = next((ns for ns in spaces if ns.type == "user"), None)
    both = mappings(linux["uidMappings"]), mappings(linux["gidMappings"])
    if user is None and any(both):
        raise linux["uidMappings"].wrong("the container has no user namespace")
    if user is None or user.path:
        return (), ()
    for name, maps in zip(("uidMappings", "gidMappings"), both, strict=True):
        if not any(each.container_id == 0 for each in maps):
            raise linux[name].wrong("it maps no 0, so nobody could make the container")
    return both


def _own(spaces: tuple[Namespace, ...]) -> set[NamespaceType]:
    """Return the kinds of namespace that aren't ours."""
    ours = Path("/proc/self/ns")
    return {
        ns.type
        for ns in spaces
        if not ns.path or nsfs.inode(ns.path) != nsfs.inode(ours / nsfs.FILES[ns.type])
    }


def _name_of_uts(told: Value, spaces: tuple[Namespace, ...]) -> str:
    name = told.text("")
    if name and "uts" not in _own(spaces):
        raise told.wrong("it would be the host's: the container has no uts namespace of its own")
    if len(name.encode()) > _NAME_MAX:
        raise told.wrong(f"it has more than {_NAME_MAX} bytes")
    return name


def _absolute(told: Value) -> tuple[str, ...]:
    for each in told:
        if not each.text().startswith("/"):
            raise each.wrong(f"{each.data!r} is not an absolute path")
    return told.texts()


def _sysctl(told: Value, spaces: tuple[Namespace, ...]) -> dict[str, str]:
    found = {name: value.text() for name, value in told.items()}
    for name, value in found.items():
        sysctl.check(name, value, _own(spaces))
    return found


def _time_offsets(told: Value, spaces: tuple[Namespace, ...]) -> dict[str, float]:
    found = {}
    for clock, value in told.items():
        if clock not in time_namespace.CLOCKS:
            raise value.wrong(f"{clock!r} is none of {', '.join(time_namespace.CLOCKS)}")
        seconds = value["secs"].number(0, -I64, I64)
        found[clock] = seconds + value["nanosecs"].number(0, high=999_999_999) / 10**9
        if not time_namespace.possible(clock, found[clock]):
            raise value.wrong("no clock goes below zero, nor beyond some 146 years")
    if found and not any(ns.type == "time" and not ns.path for ns in spaces):
        raise told.wrong("the container has no new time namespace")
    return found


def _annotations(told: Value) -> dict[str, str]:
    found = {name: value.text() for name, value in told.items()}
    if "" in found:
        raise told.wrong("one has no name")
    return found


def _personality(told: Value) -> str:
    if not told:
        return ""
    told["flags"].refuse("the specification names no flag")
    return told["domain"].choice(PERSONALITIES)


def _memory_policy(told: Value) -> MemoryPolicy | None:
    if not told:
        return None
    mode = told["mode"].choice(memory_policy.MODES)
    flags = tuple(each.choice(memory_policy.FLAGS) for each in told["flags"])
    nodes = told["nodes"].text("")
    if nodes:
        processes.check_list(told["nodes"], memory_policy.HIGHEST_NODE)
    return MemoryPolicy(mode, nodes, flags)


def _check_mount_namespace(spec: Spec, linux: Value) -> None:
    """Refuse what would be done to others' mounts."""
    if spec.new("mount"):
        return
    if any(ns.type == "user" for ns in spec.namespaces):
        raise linux["namespaces"].wrong("a user namespace needs a new mount namespace beside it")
    asked = {
        "mounts": spec.mounts,
        "root.readonly": spec.root.readonly,
        "linux.maskedPaths": spec.masked_paths,
        "linux.readonlyPaths": spec.readonly_paths,
        "linux.rootfsPropagation": linux["rootfsPropagation"].data,
        "process.terminal": spec.process.terminal,
    }
    if refused := [name for name, value in asked.items() if value]:
        raise LabError(
            f"do what {', '.join(refused)} asks for",
            "the container has no mount namespace of its own, so it would be done to the host's",
            remedy="add a new mount namespace to linux.namespaces",
        )
