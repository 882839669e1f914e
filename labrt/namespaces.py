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
import time
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from labrt import nsfs, syscalls, time_namespace
from labrt.calls import Call, call
from labrt.spec import Namespace, NamespaceType
from labrt.step import Context, Step, constant

if TYPE_CHECKING:
    from labrt.cloning import Cloner

# Those that clone3(2) makes; a time namespace would be entered before its offsets are written.
AT_BIRTH: tuple[NamespaceType, ...] = ("user", "mount", "pid", "network", "ipc", "uts")


def read(pid: int | str = "self") -> dict[str, str]:
    """Return a process's namespaces, type → identity ("uts:[4026531838]"), from /proc/PID/ns."""
    folder = Path(f"/proc/{pid}/ns")
    return {entry.name: os.readlink(entry) for entry in sorted(folder.iterdir())}


def join(spaces: list[Namespace]) -> None:
    """Enter namespaces by their files (setns(2)); all are opened before.

    First those that our own user namespace owns, while we have its rights; then the user namespace,
    which gives the right to join all others.

    Raises:
        OSError: the kernel's answer.
    """
    fds = [os.open(ns.path, os.O_RDONLY | os.O_CLOEXEC) for ns in spaces]
    for fd in sorted(fds, key=_rank) if len(fds) > 1 else fds:
        syscalls.setns(fd, 0)
        os.close(fd)


def _rank(fd: int) -> int:
    if nsfs.kind(fd) == "user":
        return 1
    ours = nsfs.owner_of(fd) == nsfs.inode("/proc/self/ns/user")
    return 0 if ours else 2


_cloner: Cloner | None = None


def clone_by(cloner: Cloner) -> None:
    """From now on have `cloner` clone for this process, where it can."""
    global _cloner
    _cloner = cloner


class Clone(Step):
    side: ClassVar = "host"
    man: ClassVar = "clone3(2)"
    reason: ClassVar = "the child begins life with names of its own"
    vital: ClassVar = "there would be no process"

    def __init__(
        self,
        namespaces: tuple[Namespace, ...],
        cgroup: Path | None,
        time_offsets: Mapping[str, float] | None = None,
    ) -> None:
        """
        Args:
            cgroup: the v2 cgroup's folder that the child is born in, where there is one.
            time_offsets: "monotonic" and "boottime" → seconds, for a time namespace of its own.
        """
        self.new = [ns.type for ns in namespaces if ns.type in AT_BIRTH and not ns.path]
        self.joined = [ns for ns in namespaces if ns.path and ns.type not in ("mount", "cgroup")]
        self.cgroup = cgroup
        self.time_offsets = time_offsets or {}
        self.new_time = any(ns.type == "time" and not ns.path for ns in namespaces)

    def describe(self) -> str:
        joins = "".join(f"setns {ns.path}; " for ns in self.joined)
        clocks = time_namespace.lines(self.time_offsets).replace("\n", ", ")
        offsets = f", offsets {clocks.rstrip(', ')}" if clocks else ""
        shifted = f"unshare time{offsets}; " if self.new_time else ""
        born = f", born in the cgroup {self.cgroup}" if self.cgroup else ""
        return f"{joins}{shifted}clone3 with new namespaces: {', '.join(self.new) or 'none'}{born}"

    def do(self, context: Context) -> None:
        """Return twice: in the parent with context.pid set, in the child with it 0."""
        cgroup = -1
        if self.cgroup is not None:
            cgroup = os.open(self.cgroup, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            context.pid, context.pidfd = self._cloned(context, cgroup)
            context.cloned = time.monotonic_ns()
        finally:
            if cgroup >= 0:
                os.close(cgroup)

    def _cloned(self, context: Context, cgroup: int) -> tuple[int, int]:
        # Only a fork hands descriptors on with the numbers that they have, or joins by a helper.
        forked = self.joined or self.new_time or context.spec.process.preserved_fds
        program = None if forked else context.program
        if _cloner and (made := _cloner.clone(self._flags(), cgroup, context.report, program)):
            return made
        if self.joined or self.new_time:
            return self._clone_by_helper(cgroup)
        return self._clone(cgroup)

    def _flags(self) -> int:
        return sum(nsfs.CLONE_FLAGS[name] for name in self.new)

    def _clone(self, cgroup: int, flags: int = 0) -> tuple[int, int]:
        return syscalls.clone3(self._flags() | flags, None if cgroup < 0 else cgroup)

    def _clone_by_helper(self, cgroup: int) -> tuple[int, int]:
        """Have a helper process join, for who has joined a user namespace can't leave it; and only
        children are born into a joined pid or a new time namespace. CLONE_PARENT makes its child
        ours."""
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
            self._enter()
            pid, pidfd = self._clone(cgroup, syscalls.CLONE_PARENT)
            if pid == 0:
                return 0, -1
            told = {"pid": pid}
        except OSError as error:
            told = {"errno": error.errno or 0}
        os.write(writer, json.dumps(told).encode())
        os._exit(0)

    def _enter(self) -> None:
        """In the helper: be where the child is to be born."""
        if self.joined:
            # As in ShieldProcess, which comes too late where others are in the namespaces already.
            syscalls.prctl(syscalls.PR_SET_DUMPABLE, 0)
            join(self.joined)
        if self.new_time:
            if "user" in self.new:  # it is to own the time namespace, so it comes first
                self.new.remove("user")
                syscalls.unshare(syscalls.CLONE_NEWUSER)
            time_namespace.unshare(self.time_offsets)

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
        # EINVAL: its pid is another's by now, one in our own user namespace.
        if error.errno in (errno.ENOENT, errno.ESRCH, errno.EINVAL) and self.joined:
            return "the process whose namespaces it shares has ended", "declare it anew"
        if error.errno == errno.EPERM:
            if os.geteuid() == 0:
                return "this process is in a chroot (clone(2))", "run it outside"
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


class JoinCgroupNamespace(Step):
    """Apart from the others too: a v2 hierarchy mounted with "nsdelegate", as systemd mounts it,
    lets nobody be born into a cgroup from within another cgroup namespace (cgroups(7))."""

    side: ClassVar = "container"
    man: ClassVar = "cgroup_namespaces(7)"
    reason: ClassVar = "it sees cgroups as the container does whose namespace it shares"

    def __init__(self, path: str) -> None:
        self.space = Namespace("cgroup", path)

    def describe(self) -> str:
        return f"setns {self.space.path}"

    def do(self, context: Context) -> None:
        join([self.space])


class UnshareCgroupNamespace(Step):
    side: ClassVar = "container"
    man: ClassVar = "cgroup_namespaces(7)"
    reason: ClassVar = "the container's own cgroup is the root of what it sees"

    def describe(self) -> str:
        return "unshare(CLONE_NEWCGROUP), now that the child is in its cgroup"

    @constant
    def calls(self, context: Context) -> list[Call]:
        return [call("unshare", syscalls.CLONE_NEWCGROUP)]


class SetDomainname(Step):
    side: ClassVar = "container"
    man: ClassVar = "setdomainname(2)"
    reason: ClassVar = "the container has an NIS domain name of its own (uts_namespaces(7))"

    def __init__(self, name: str) -> None:
        self.domain = name

    def describe(self) -> str:
        return f"setdomainname({self.domain!r})"

    def calls(self, context: Context) -> list[Call]:
        name = self.domain.encode()
        return [call("setdomainname", name, len(name))]


class SetHostname(Step):
    side: ClassVar = "container"
    man: ClassVar = "sethostname(2)"
    reason: ClassVar = "the container has a host name of its own (uts_namespaces(7))"

    def __init__(self, hostname: str) -> None:
        self.hostname = hostname

    def describe(self) -> str:
        return f"sethostname({self.hostname!r})"

    def calls(self, context: Context) -> list[Call]:
        name = self.hostname.encode()
        return [call("sethostname", name, len(name))]

    def likely(self, error: OSError) -> tuple[str, str]:
        if error.errno == errno.EPERM:
            return "without a uts namespace of its own the name is the host's", 'keep "uts"'
        return "", ""
