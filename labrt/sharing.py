"""Sharing: which namespaces a container has of its own, and whose it joins (namespaces(7)).

"host" leaves it in the host's, "container:NAME", "pid:N" and "ns:PATH" join another's (setns(2)).
Two containers that share some are a pod. Rights over a namespace are those in the user namespace
that owns it (user_namespaces(7)), so who joins another's network, pid, ipc, uts or cgroup namespace
joins its user namespace as well. What stays the host's can be used in a user namespace of one's
own, but not changed: no host name, and no new procfs or sysfs, which would show the host's. The
container then sees the host's own, bound (mount(8)), as with rootless Podman.

Lessons: notebooks 02 to 09.
"""

from __future__ import annotations

import errno
import os
import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from labrt import nsfs
from labrt.errors import LabError, errno_text
from labrt.options import Options
from labrt.spec import ALL_NAMESPACES, IdMapping, Mount, Namespace, NamespaceType

# The kinds that can be shared → the option that says so.
OPTIONS: dict[NamespaceType, str] = {
    "user": "userns",
    "pid": "pid",
    "network": "network",
    "ipc": "ipc",
    "uts": "uts",
    "cgroup": "cgroupns",
}
# What each kernel file system shows.
_SHOWS: dict[str, NamespaceType] = {
    "proc": "pid",
    "sysfs": "network",
    "mqueue": "ipc",
    "cgroup2": "cgroup",
}
_OURS = Path("/proc/self/ns")


def chosen(
    wishes: Options, find: Callable[[str], int], no_cgroup: str | None = None
) -> tuple[Namespace, ...]:
    """Return the container's namespaces; one that it shares with the host is left out.

    Args:
        find: gives the pid of a running container's first process by the container's name.
        no_cgroup: why the container gets no cgroup, if it gets none.

    Raises:
        LabError: a wish that is none, a namespace that isn't there, or two that can't be combined.
    """
    owners: dict[str, str] = {}  # folder of its namespaces → the container's name

    def found(name: str) -> int:
        pid = find(name)
        owners[f"/proc/{pid}/ns"] = name
        return pid

    asked = {kind: _asked(kind, getattr(wishes, name), found) for kind, name in OPTIONS.items()}
    spaces = tuple(Namespace(kind, asked.get(kind) or "") for kind in ALL_NAMESPACES)
    spaces = tuple(ns for ns in spaces if asked.get(ns.type) != "host")
    spaces = _with_owner(spaces, wishes)
    _check(spaces, wishes, no_cgroup)
    spaces = tuple(replace(ns, of=owners.get(os.path.dirname(ns.path), "")) for ns in spaces)
    return (*spaces, Namespace("time")) if wishes.time_offset else spaces


def renewed(spaces: tuple[Namespace, ...], find: Callable[[str], int]) -> tuple[Namespace, ...]:
    """Return the namespaces for another start: those of containers as these have them now.

    Raises:
        LabError: such a container doesn't run.
    """
    return tuple(_renewed(ns, find) if ns.of else ns for ns in spaces)


def _renewed(ns: Namespace, find: Callable[[str], int]) -> Namespace:
    return replace(ns, path=f"/proc/{find(ns.of)}/ns/{nsfs.FILES[ns.type]}")


def _asked(kind: NamespaceType, wish: str | None, find: Callable[[str], int]) -> str | None:
    """Return the file of the namespace to join; "host"; or None for one of its own."""
    how, _, what = (wish or "private").partition(":")
    file = nsfs.FILES[kind]
    match how:
        case "host" | "private" if not what:
            return "host" if how == "host" else None
        case "container" if what:
            return _file(kind, f"/proc/{find(what)}/ns/{file}")
        case "pid" if re.fullmatch("[0-9]+", what):
            return _file(kind, f"/proc/{what}/ns/{file}")
        case "ns" if what.startswith("/"):
            return _file(kind, what)
    if kind == "network":
        return None  # one of its own, connected as `network` says
    raise LabError(
        f"share a {kind} namespace by --{OPTIONS[kind]} {wish}",
        "not private, host, container:NAME, pid:N or ns:/PATH",
    )


def _file(kind: NamespaceType, path: str) -> str:
    """Check a namespace's file; "host" where it is the one that we are in ourselves."""
    tried = f"join the {kind} namespace {path}"
    try:
        with nsfs.opened(path) as fd:
            found = nsfs.kind(fd)
    except OSError as error:
        no_namespace = error.errno == errno.ENOTTY
        told = "it is no namespace" if no_namespace else errno_text(error)
        raise LabError(tried, told, remedy="labrt ns shows those there are") from error
    if found != kind:
        raise LabError(tried, f"it is a {found} namespace")
    return "host" if nsfs.inode(path) == nsfs.inode(_OURS / nsfs.FILES[kind]) else path


def _with_owner(spaces: tuple[Namespace, ...], wishes: Options) -> tuple[Namespace, ...]:
    """Let who joins another's namespaces join the user namespace that owns them.

    Raises:
        LabError: they have several owners, or another than the one that was asked for.
    """
    user = next((ns for ns in spaces if ns.type == "user"), None)
    if user is None:
        return spaces  # the host's root has rights over all
    others = [ns for ns in spaces if ns.path and ns is not user and not _is_hosts(ns)]
    owners = {nsfs.owner_of(ns.path) for ns in others}
    if wishes.userns is not None:
        owners.add(nsfs.inode(user.path) if user.path else None)
    if len(owners) > 1:
        raise LabError(
            f"share the {', '.join(ns.type for ns in others)} namespace",
            "its owner is another user namespace, and a process can be in one only",
            remedy="share with one container, without --userns or with its own",
        )
    if not others or user.path:
        return spaces
    owning = Namespace("user", _user_file(others[0]))
    return tuple(owning if ns is user else ns for ns in spaces)


def _is_hosts(ns: Namespace) -> bool:
    """Whether our own user namespace owns a namespace that is to be joined."""
    return nsfs.owner_of(ns.path) == nsfs.inode(_OURS / "user")


def _user_file(ns: Namespace) -> str:
    """Return the file of the user namespace that owns another: its neighbour in /proc/PID/ns."""
    file = Path(ns.path).with_name("user")
    if not file.exists() or nsfs.inode(file) != nsfs.owner_of(ns.path):
        raise LabError(
            f"join the {ns.type} namespace {ns.path}",
            "the user namespace that owns it must be joined as well",
            remedy="name it: --userns pid:N or ns:PATH; labrt ns shows who owns what",
        )
    return str(file)


def _check(spaces: tuple[Namespace, ...], wishes: Options, no_cgroup: str | None) -> None:
    """Refuse what the kernel would refuse later, or what the lab couldn't end.

    Raises:
        LabError: with the reason.
    """
    own = {ns.type for ns in spaces if not ns.path}
    root = os.geteuid() == 0
    hosts_user = not any(ns.type == "user" for ns in spaces)
    if not root and hosts_user:
        raise LabError("share the host's user namespace", "a user has no right to mount in it")
    if "pid" not in own and no_cgroup:
        raise LabError(
            "share a pid namespace",
            "without a cgroup the container's processes couldn't be told from the others'",
            no_cgroup,
        )
    if "uts" not in own and wishes.hostname is not None:
        raise LabError(
            "set the host name", "the uts namespace is shared", remedy="leave out --hostname"
        )
    for ns in spaces:
        if ns.path and not hosts_user and ns.type != "user" and _is_hosts(ns):
            _check_hosts(ns, root)


def _check_hosts(ns: Namespace, root: bool) -> None:
    """Refuse to join one that belongs to the host's user namespace, where that can't work."""
    tried = f"join the {ns.type} namespace {ns.path}"
    if not root:
        raise LabError(tried, "it belongs to the host's root", remedy="run as root")
    if ns.type in ("pid", "cgroup"):
        raise LabError(
            tried,
            "it belongs to the host's user namespace, so its view can't be mounted in another",
            remedy="--userns host as well",
        )


def mappings(
    spaces: tuple[Namespace, ...],
) -> tuple[tuple[IdMapping, ...], tuple[IdMapping, ...]] | None:
    """Return the (uid, gid) mappings of the user namespace that is shared; None for one of its own.

    Raises:
        LabError: no process tells them.
    """
    user = next((ns for ns in spaces if ns.type == "user"), None)
    if user is None:
        return (), ()
    return (_map(user, "uid_map"), _map(user, "gid_map")) if user.path else None


def _map(user: Namespace, name: str) -> tuple[IdMapping, ...]:
    file = Path(user.path).parent.with_name(name)
    if not file.exists():
        raise LabError(
            f"read the id maps of the user namespace {user.path}",
            "only a process that is in it tells them",
            remedy="name one: --userns pid:N or container:NAME",
        )
    return tuple(IdMapping(*map(int, line.split())) for line in file.read_text().splitlines())


def views(mounts: tuple[Mount, ...], spaces: tuple[Namespace, ...]) -> tuple[Mount, ...]:
    """Return the kernel file systems as this container can have them.

    A new one shows a namespace of the process that mounts it, and needs rights over that namespace.
    Where the container's user namespace doesn't own it, the host's own is bound instead.
    """
    foreign = _foreign(spaces)
    if any(ns.type == "ipc" and ns.of for ns in spaces):
        mounts = tuple(_of_pod(each) if each.destination == "/dev/shm" else each for each in mounts)
    if "network" in foreign:
        mounts = tuple(layer for each in mounts for layer in _apart(each))
    seen = (_bound(each) if _SHOWS.get(each.type) in foreign else each for each in mounts)
    return tuple(each for each in seen if each is not None)


def _apart(mount: Mount) -> tuple[Mount, ...]:
    """Return a mount as it can lie on the host's /sys. With that comes the host's cgroup2, and the
    kernel mounts no file system on itself (EBUSY, mount(2)): another goes between."""
    if mount.type != "cgroup2":
        return (mount,)
    return Mount(mount.destination, "tmpfs", "tmpfs", (*mount.options, "size=4k")), mount


def _of_pod(mount: Mount) -> Mount:
    """Return the /dev/shm of the container whose ipc namespace is joined: shared memory by name is
    files there, and no namespace's (shm_overview(7))."""
    return replace(mount, type="shm", source="ipc", options=("rnosuid", "rnodev", "rnoexec"))


def _foreign(spaces: tuple[Namespace, ...]) -> set[NamespaceType]:
    """Return the kinds over which the container's root has no rights."""
    if not any(ns.type == "user" for ns in spaces):
        return set()  # it is the host's root
    owned = {ns.type for ns in spaces if not ns.path or not _is_hosts(ns)}
    return set(ALL_NAMESPACES) - owned


def _bound(mount: Mount) -> Mount | None:
    """Return the host's own file system in place of a new one; None where it has none."""
    if not os.path.ismount(mount.destination):
        return None
    safe = ("ro", "nosuid", "nodev", "noexec")
    options = tuple(f"r{word}" for word in mount.options if word in safe)
    return Mount(mount.destination, "bind", mount.destination, ("rbind", *options))
