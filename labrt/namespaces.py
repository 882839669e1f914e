"""Namespaces: what a process sees of the machine's names (namespaces(7)).

One clone3(2) makes the child with all its new namespaces. The cgroup namespace comes later, by
unshare(2): its root is wherever the process is at that moment, and the child is put into its cgroup
only after it exists.

Lessons: notebooks 02 to 09.
"""

from __future__ import annotations

import errno
import json
import os
import signal
from collections.abc import Callable
from pathlib import Path
from typing import ClassVar

from labrt import paths, syscalls
from labrt.options import Options
from labrt.spec import ALL_NAMESPACES, IdMapping, Namespace, NamespaceType
from labrt.step import Context, Step

CLONE_FLAGS: dict[NamespaceType, int] = {
    "user": syscalls.CLONE_NEWUSER,
    "mount": syscalls.CLONE_NEWNS,
    "pid": syscalls.CLONE_NEWPID,
    "network": syscalls.CLONE_NEWNET,
    "ipc": syscalls.CLONE_NEWIPC,
    "uts": syscalls.CLONE_NEWUTS,
}
# The name of each kind below /proc/PID/ns.
FILES: dict[NamespaceType, str] = {
    "user": "user",
    "mount": "mnt",
    "pid": "pid",
    "network": "net",
    "ipc": "ipc",
    "uts": "uts",
    "cgroup": "cgroup",
    "time": "time",
}


# Root's containers use one range of host ids that nothing else does: it lies above what
# systemd-nspawn takes and below 2^31 (https://systemd.io/UIDS-GIDS/).
ROOT_ID_BASE = 0x70000000
ROOT_ID_COUNT = 65536


def chosen(wishes: Options, find: Callable[[str], int]) -> tuple[Namespace, ...]:
    """Return the container's namespaces: its own, unless --pid and its like name others.

    Args:
        find: gives the pid of a running container's first process by the container's name.
    """
    return tuple(Namespace(name) for name in ALL_NAMESPACES)


def mappings(spaces: tuple[Namespace, ...]) -> tuple[tuple[IdMapping, ...], tuple[IdMapping, ...]]:
    """Return the (uid, gid) mappings for containers of this user (user_namespaces(7)).

    Root maps 65,536 ids; a normal user may map exactly one without help: its own.
    """
    if os.geteuid() == 0:
        both = (IdMapping(0, ROOT_ID_BASE, ROOT_ID_COUNT),)
        return both, both
    return (IdMapping(0, os.geteuid(), 1),), (IdMapping(0, os.getegid(), 1),)


def sysctl(wishes: Options) -> dict[str, str]:
    """Return the settings of --sysctl, only those of the container's own namespaces."""
    return {}


def time_offsets(wishes: Options) -> dict[str, float]:
    """Return the clocks of --time-offset → seconds."""
    return {}


def read(pid: int | str = "self") -> dict[str, str]:
    """Return a process's namespaces, type → identity ("uts:[4026531838]"), from /proc/PID/ns."""
    folder = Path(f"/proc/{pid}/ns")
    return {entry.name: os.readlink(entry) for entry in sorted(folder.iterdir())}


def join(spaces: list[Namespace]) -> None:
    """Enter namespaces by their files, in this order (setns(2)); all are opened before."""
    fds = [os.open(ns.path, os.O_RDONLY | os.O_CLOEXEC) for ns in spaces]
    for fd in fds:
        syscalls.setns(fd, 0)
        os.close(fd)


class Clone(Step):
    side: ClassVar = "host"
    man: ClassVar = "clone3(2)"
    reason: ClassVar = "the child begins life with names of its own"
    vital: ClassVar = "there would be no process"

    def __init__(self, namespaces: tuple[Namespace, ...], cgroup: Path | None) -> None:
        """`cgroup` is the v2 cgroup's folder that the child is born in, where there is one."""
        self.new = [ns.type for ns in namespaces if ns.type in CLONE_FLAGS and not ns.path]
        joined = [ns for ns in namespaces if ns.path and ns.type != "mount"]
        # The user namespace first: it gives the right to join the others.
        self.joined = sorted(joined, key=lambda ns: ns.type != "user")
        self.cgroup = cgroup

    def describe(self) -> str:
        joins = "".join(f"setns {ns.path}; " for ns in self.joined)
        born = f", born in the cgroup {self.cgroup}" if self.cgroup else ""
        return f"{joins}clone3 with new namespaces: {', '.join(self.new) or 'none'}{born}"

    def do(self, context: Context) -> None:
        """Return twice: in the parent with context.pid set, in the child with it 0."""
        cgroup = -1
        if self.cgroup is not None:
            cgroup = os.open(self.cgroup, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            clone = self._clone_in_joined if self.joined else self._clone
            context.pid, context.pidfd = clone(cgroup)
        finally:
            if cgroup >= 0:
                os.close(cgroup)

    def _clone(self, cgroup: int, flags: int = 0) -> tuple[int, int]:
        flags |= sum(CLONE_FLAGS[name] for name in self.new)
        return syscalls.clone3(flags, None if cgroup < 0 else cgroup)

    def _clone_in_joined(self, cgroup: int) -> tuple[int, int]:
        """Have a helper process join, for who has joined a user namespace can't leave it; and only
        children are born into a joined pid namespace. CLONE_PARENT makes its child ours."""
        reader, writer = os.pipe2(os.O_CLOEXEC)
        try:
            helper, pidfd = syscalls.clone3(0)
            if helper == 0:
                return self._help(cgroup, writer)
            os.close(writer)
            writer = -1
            os.waitid(os.P_PIDFD, pidfd, os.WEXITED)
            os.close(pidfd)
            told = json.loads(os.read(reader, 4096) or b'{"errno": 5}')
        finally:
            os.close(reader)
            if writer >= 0:
                os.close(writer)
        if "errno" in told:
            raise OSError(told["errno"], os.strerror(told["errno"]))
        return told["pid"], os.pidfd_open(told["pid"])

    def _help(self, cgroup: int, writer: int) -> tuple[int, int]:
        """In the helper: join, clone, tell the parent, end. Returns in its child only."""
        told: dict[str, int]
        try:
            join(self.joined)
            pid, pidfd = self._clone(cgroup, syscalls.CLONE_PARENT)
            if pid == 0:
                return 0, -1
            told = {"pid": pid}
        except OSError as error:
            told = {"errno": error.errno or 0}
        os.write(writer, json.dumps(told).encode())
        os._exit(0)

    def undo(self, context: Context) -> None:
        """Kill and reap the child where this process is its parent."""
        if context.pidfd < 0:
            return
        try:
            signal.pidfd_send_signal(context.pidfd, signal.SIGKILL)
            os.waitid(os.P_PIDFD, context.pidfd, os.WEXITED)
        except (ProcessLookupError, ChildProcessError):
            pass  # ended and reaped already
        os.close(context.pidfd)
        context.pidfd = -1

    def likely(self, error: OSError) -> tuple[str, str]:
        if error.errno == errno.ENOSPC:
            return (
                "the limit of namespaces per user is reached or set to 0",
                "raise user.max_user_namespaces by sysctl(8)",
            )
        if error.errno == errno.EPERM:
            return (
                "unprivileged user namespaces are switched off on this host",
                "run as root, or sysctl -w kernel.unprivileged_userns_clone=1",
            )
        return "", ""


class JoinMountNamespace(Step):
    """Apart from the others, for the child joins its cgroup while it sees the host's files."""

    side: ClassVar = "container"
    man: ClassVar = "setns(2)"
    reason: ClassVar = "it sees the container's files, and nothing of the host's"
    vital: ClassVar = "it would run on the host's files"

    def __init__(self, path: str) -> None:
        self.space = Namespace("mount", path)

    def describe(self) -> str:
        return f"setns {self.space.path}"

    def do(self, context: Context) -> None:
        join([self.space])


class WriteIdMap(Step):
    side: ClassVar = "host"
    man: ClassVar = "user_namespaces(7)"
    reason: ClassVar = "root inside is somebody without rights outside"
    vital: ClassVar = "no id in the container would stand for anybody"

    def __init__(self, kind: str, mappings: tuple[IdMapping, ...]) -> None:
        self.file = f"{kind}_map"
        self.mappings = mappings

    def describe(self) -> str:
        ranges = ", ".join(f"{m.container_id} {m.host_id} {m.size}" for m in self.mappings)
        return f'write "{ranges}" into /proc/CHILD/{self.file}'

    def do(self, context: Context) -> None:
        if self.file == "gid_map" and os.geteuid() != 0:
            # Without privilege the kernel takes a gid_map only once setgroups(2) is given up.
            paths.write(f"/proc/{context.pid}/setgroups", "deny")
        lines = "".join(f"{m.container_id} {m.host_id} {m.size}\n" for m in self.mappings)
        paths.write(f"/proc/{context.pid}/{self.file}", lines)

    def likely(self, error: OSError) -> tuple[str, str]:
        if error.errno == errno.EPERM and os.geteuid() != 0:
            return (
                "AppArmor restricts unprivileged user namespaces (Ubuntu 23.10 and later)",
                "run as root, or sysctl -w kernel.apparmor_restrict_unprivileged_userns=0",
            )
        return "", ""


class UnshareCgroupNamespace(Step):
    side: ClassVar = "container"
    man: ClassVar = "cgroup_namespaces(7)"
    reason: ClassVar = "the container's own cgroup is the root of what it sees"

    def describe(self) -> str:
        return "unshare(CLONE_NEWCGROUP), now that the child is in its cgroup"

    def do(self, context: Context) -> None:
        syscalls.unshare(syscalls.CLONE_NEWCGROUP)


class BecomeContainerRoot(Step):
    side: ClassVar = "container"
    man: ClassVar = "setresuid(2)"
    reason: ClassVar = "until now the child had the host's id, which has no name inside"
    vital: ClassVar = "it would keep the id that the host's files belong to"

    def __init__(self) -> None:
        # Where a normal user wrote the gid map, setgroups(2) was given up for it.
        self.may_set_groups = os.geteuid() == 0

    def describe(self) -> str:
        groups = "setgroups([]), " if self.may_set_groups else ""
        return f"{groups}setresgid(0), setresuid(0) in the new user namespace"

    def do(self, context: Context) -> None:
        if self.may_set_groups:
            os.setgroups([])
        os.setresgid(0, 0, 0)
        os.setresuid(0, 0, 0)

    def likely(self, error: OSError) -> tuple[str, str]:
        return (
            "AppArmor may restrict user namespaces (Ubuntu 23.10 and later)",
            "run as root, or sysctl -w kernel.apparmor_restrict_unprivileged_userns=0",
        )


class SetHostname(Step):
    side: ClassVar = "container"
    man: ClassVar = "sethostname(2)"
    reason: ClassVar = "the container has a host name of its own (uts_namespaces(7))"

    def __init__(self, hostname: str) -> None:
        self.hostname = hostname

    def describe(self) -> str:
        return f"sethostname({self.hostname!r})"

    def do(self, context: Context) -> None:
        syscalls.sethostname(self.hostname)

    def likely(self, error: OSError) -> tuple[str, str]:
        if error.errno == errno.EPERM:
            return "without a uts namespace of its own the name is the host's", 'keep "uts"'
        return "", ""
