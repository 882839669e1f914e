"""Users: who the container's users are on the host (user_namespaces(7), subuid(5)).

A user namespace has ids of its own; its uid_map says which of the host's they are. Root's
containers map one range that nothing else uses. A normal user maps the container's root to
themselves and the others to the range that /etc/subuid and /etc/subgid grant them; newuidmap(1),
which is setuid, writes that map, for the kernel lets a normal user map no more than one id: their
own.

Lesson: notebook 02.
"""

from __future__ import annotations

import errno
import os
import pwd
import re
import struct
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import ClassVar

from labrt import accounts, calls, paths
from labrt.calls import Call, call
from labrt.errors import LabError
from labrt.options import Options
from labrt.spec import IdMapping, Namespace, Process
from labrt.step import Context, Step, constant

# Root's containers use one range of host ids that nothing else does: it lies above what
# systemd-nspawn takes and below 2^31 (https://systemd.io/UIDS-GIDS/).
ROOT_ID_BASE = 0x70000000
ROOT_ID_COUNT = 65536

Mappings = tuple[IdMapping, ...]


def mappings(spaces: tuple[Namespace, ...] = ()) -> tuple[Mappings, Mappings]:
    """Return the (uid, gid) mappings for containers of this user (user_namespaces(7))."""
    if os.geteuid() == 0:
        return (_roots_range("uid"),), (_roots_range("gid"),)
    uids, gids = (IdMapping(0, os.geteuid(), 1),), (IdMapping(0, os.getegid(), 1),)
    ranges = subordinate("uid"), subordinate("gid")
    if lacking() or not all(ranges):
        return uids, gids
    return (*uids, *ranges[0]), (*gids, *ranges[1])


@cache
def _roots_range(kind: str) -> IdMapping:
    """Return the range of root's containers. Root of a user namespace, as in a container, may have
    few ids: then it is the most of them that lie side by side, without root's own."""
    lines = Path(f"/proc/self/{kind}_map").read_text().splitlines()
    ours = [(int(first), int(first) + int(count)) for first, _, count in map(str.split, lines)]
    if any(first <= ROOT_ID_BASE <= end - ROOT_ID_COUNT for first, end in ours):
        return IdMapping(0, ROOT_ID_BASE, ROOT_ID_COUNT)
    size, first = max((end - max(first, 1), max(first, 1)) for first, end in ours)
    return IdMapping(0, first, min(size, ROOT_ID_COUNT)) if size else IdMapping(0, 0, 1)


def subordinate(kind: str) -> Mappings:
    """Return this user's first range of /etc/subuid or /etc/subgid, as ids from 1; () for none.

    Args:
        kind: "uid" or "gid". Both files name users, never groups.
    """
    mine = re.compile(rf"({re.escape(_login())}|{os.geteuid()}):([0-9]{{1,10}}):([0-9]{{1,10}})")
    try:
        lines = Path(f"/etc/sub{kind}").read_text().splitlines()
    except FileNotFoundError:
        return ()
    for found in filter(None, map(mine.fullmatch, lines)):
        if count := min(int(found[3]), ROOT_ID_COUNT - 1):
            return (IdMapping(1, int(found[2]), count),)
    return ()


def _login() -> str:
    try:
        return pwd.getpwuid(os.geteuid()).pw_name
    except KeyError:
        return ""


def lacking() -> str:
    """Return what a normal user's containers lack to have more than one id, "" for nothing."""
    if not _login():
        return f"uid {os.geteuid()} has no entry in /etc/passwd, which newuidmap asks for"
    from shutil import which  # only a normal user pays for it

    if not (which("newuidmap") and which("newgidmap")):
        return "newuidmap and newgidmap are missing: apt-get install uidmap"
    if not (subordinate("uid") and subordinate("gid")):
        ids = "100000-165535"
        return (
            "/etc/subuid and /etc/subgid grant you no range: as root, "
            f"usermod --add-subuids {ids} --add-subgids {ids} {_login()}"
        )
    return ""


def may_set_groups(gid_mappings: Mappings) -> bool:
    """Whether the container may change supplementary groups: not where a normal user wrote the
    gid map alone, for setgroups(2) had to be given up for it."""
    return os.geteuid() == 0 or bool(gid_mappings) and not _is_own(gid_mappings, os.getegid())


def _is_own(maps: Mappings, own: int) -> bool:
    """Whether a map has our own id alone, which is all that a normal user may write."""
    return len(maps) == 1 and (maps[0].host_id, maps[0].size) == (own, 1)


def write_map(pid: int, kind: str, maps: Mappings) -> None:
    """Give a process's new user namespace its uid_map or gid_map; host side.

    Raises:
        OSError: the kernel's answer.
        LabError: newuidmap's or newgidmap's.
    """
    own = os.geteuid() if kind == "uid" else os.getegid()
    if os.geteuid() != 0 and not _is_own(maps, own):
        return _ask_setuid_helper(f"new{kind}map", pid, maps)
    if os.geteuid() != 0 and kind == "gid":
        # Without privilege the kernel takes a gid_map only once setgroups(2) is given up.
        paths.write(f"/proc/{pid}/setgroups", "deny")
    lines = "".join(f"{m.container_id} {m.host_id} {m.size}\n" for m in maps)
    paths.write(f"/proc/{pid}/{kind}_map", lines)


def _ask_setuid_helper(helper: str, pid: int, maps: Mappings) -> None:
    from subprocess import run  # only a normal user pays for it

    numbers = [str(n) for m in maps for n in (m.container_id, m.host_id, m.size)]
    done = run([helper, str(pid), *numbers], capture_output=True, text=True)
    if done.returncode != 0:
        raise LabError(
            f"{helper} {' '.join(numbers)}",
            done.stderr.strip().replace("\n", "; "),
            "/etc/subuid or /etc/subgid was changed, or user namespaces are restricted",
        )


class WriteIdMap(Step):
    side: ClassVar = "host"
    man: ClassVar = "user_namespaces(7)"
    reason: ClassVar = "root inside is somebody without rights outside"
    vital: ClassVar = "no id in the container would stand for anybody"

    def __init__(self, kind: str, mappings: Mappings) -> None:
        self.kind = kind
        self.mappings = mappings

    def describe(self) -> str:
        ranges = ", ".join(f"{m.container_id} {m.host_id} {m.size}" for m in self.mappings)
        by = f" by new{self.kind}map(1)" if len(self.mappings) > 1 else ""
        return f'write "{ranges}" into /proc/CHILD/{self.kind}_map{by}'

    def do(self, context: Context) -> None:
        write_map(context.pid, self.kind, self.mappings)

    def likely(self, error: OSError) -> tuple[str, str]:
        if error.errno == errno.EPERM and os.geteuid() != 0:
            return APPARMOR
        return "", ""


class BecomeContainerRoot(Step):
    side: ClassVar = "container"
    man: ClassVar = "setresuid(2)"
    reason: ClassVar = "until now the child had the host's id, which has no name inside"
    vital: ClassVar = "it would keep the id that the host's files belong to"

    def __init__(self, gid_mappings: Mappings) -> None:
        self.may_set_groups = may_set_groups(gid_mappings)

    def describe(self) -> str:
        groups = "setgroups([]), " if self.may_set_groups else ""
        return f"{groups}setresgid(0), setresuid(0) in the new user namespace"

    @constant
    def calls(self, context: Context) -> list[Call]:
        groups = [call("setgroups", 0, None)] if self.may_set_groups else []
        return [*groups, call("setresgid", 0, 0, 0), call("setresuid", 0, 0, 0)]

    def likely(self, error: OSError) -> tuple[str, str]:
        return APPARMOR


APPARMOR = (
    "AppArmor restricts unprivileged user namespaces (Ubuntu 23.10 and later)",
    "run as root, or sysctl -w kernel.apparmor_restrict_unprivileged_userns=0",
)


class SwitchUser(Step):
    """Sets HOME's default, too: only here is the user's entry of /etc/passwd known."""

    side: ClassVar = "container"
    man: ClassVar = "setresuid(2)"
    reason: ClassVar = "the program runs as whom the image or the user names, with their groups"

    def __init__(self, process: Process, gid_mappings: Mappings) -> None:
        self.user = process.user
        self.more = process.additional_groups
        self.only_more = process.only_these_groups
        self.may_set_groups = may_set_groups(gid_mappings)
        self.lacking = "" if self.may_set_groups else lacking()

    def describe(self) -> str:
        more = f" and {', '.join(self.more)}" if self.more else ""
        return (
            f"setgroups, setresgid, setresuid to {self.user or 'root'}, "
            f"by the image's /etc/passwd and /etc/group{more}"
        )

    def calls(self, context: Context) -> list[Call] | None:
        """None where the two files can't be known before the container is there."""
        text = accounts.beforehand(context.spec)
        return None if text is None else self._become(context, text)

    def do(self, context: Context) -> None:
        calls.perform(self._become(context, accounts.read))

    def _become(self, context: Context, text: Callable[[str], str]) -> list[Call]:
        context.account = user = accounts.find(self.user, text)
        own = [] if self.only_more else [user.gid, *user.groups]
        groups = sorted({*own, *(accounts.group(name, text) for name in self.more)})
        if self.more and not self.may_set_groups:
            raise LabError(
                f"join the groups {', '.join(self.more)}",
                "only one group id is mapped into the container",
                "rootless",
                self.lacking,
            )
        ids = struct.pack(f"={len(groups)}I", *groups)
        return [
            *([call("setgroups", len(groups), ids)] if self.may_set_groups else []),
            call("setresgid", user.gid, user.gid, user.gid),
            call("setresuid", user.uid, user.uid, user.uid),
        ]

    def likely(self, error: OSError) -> tuple[str, str]:
        if error.errno != errno.EINVAL:
            return "", ""
        if self.lacking:
            return "rootless, only id 0 is mapped into the container", self.lacking
        return "that id isn't mapped into the container", "choose ids from 0 to 65535"


def groups(wishes: Options) -> tuple[str, ...]:
    """Return the supplementary groups of --group-add, by name or number.

    Raises:
        LabError: neither.
    """
    for name in wishes.group_add:
        accounts.check(name, f"add the group {name!r}")
    return wishes.group_add


def user(wishes: Options, default: str) -> str:
    """Return --user, or the image's `default`, to be looked up in the container.

    Raises:
        LabError: not USER[:GROUP].
    """
    asked = wishes.user if wishes.user is not None else default
    for part in asked.split(":", 1) if asked else ():
        accounts.check(part, f"become the user {asked!r}")
    return asked
