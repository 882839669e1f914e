"""Capabilities: root's power in small pieces (capabilities(7)).

A process has five sets of them. The bounding set is what it can ever win; permitted and effective
are what it may and does use; inheritable and ambient are what survives execve(2) without root. The
container's root keeps what Docker's keeps, and only over what its user namespace owns. Another user
of the container gets none, as with Docker: the kernel clears permitted and effective when uid 0
gives itself up, and nothing is raised into the ambient set unless the spec itself says so.

Lesson: notebook 16.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import cache
from pathlib import Path
from typing import ClassVar

from labrt import syscalls
from labrt.calls import Call, call
from labrt.errors import LabError
from labrt.options import Options
from labrt.spec import Capabilities
from labrt.step import Context, Step, constant

# In the order of linux/capability.h: the place is the number.
_ALL = """
    CHOWN DAC_OVERRIDE DAC_READ_SEARCH FOWNER FSETID KILL SETGID SETUID SETPCAP LINUX_IMMUTABLE
    NET_BIND_SERVICE NET_BROADCAST NET_ADMIN NET_RAW IPC_LOCK IPC_OWNER SYS_MODULE SYS_RAWIO
    SYS_CHROOT SYS_PTRACE SYS_PACCT SYS_ADMIN SYS_BOOT SYS_NICE SYS_RESOURCE SYS_TIME
    SYS_TTY_CONFIG MKNOD LEASE AUDIT_WRITE AUDIT_CONTROL SETFCAP MAC_OVERRIDE MAC_ADMIN SYSLOG
    WAKE_ALARM BLOCK_SUSPEND AUDIT_READ PERFMON BPF CHECKPOINT_RESTORE
"""
# https://docs.docker.com/engine/containers/run/#runtime-privilege-and-linux-capabilities
_DOCKERS = """
    CHOWN DAC_OVERRIDE FOWNER FSETID KILL SETGID SETUID SETPCAP NET_BIND_SERVICE NET_RAW SYS_CHROOT
    MKNOD AUDIT_WRITE SETFCAP
"""
NAMES = tuple(f"CAP_{name}" for name in _ALL.split())
NUMBERS = {name: number for number, name in enumerate(NAMES)}
DEFAULT = tuple(f"CAP_{name}" for name in _DOCKERS.split())


def chosen(wishes: Options) -> Capabilities:
    """Return the five sets for --cap-add, --cap-drop and --privileged.

    Their order doesn't matter, as with Docker: an added one wins over the default's loss of it, a
    dropped one over --cap-add ALL, an added one over --cap-drop ALL.

    Raises:
        LabError: no capability has that name, or this host has none of it to give.
    """
    given = _given(wishes)
    return Capabilities(bounding=given, effective=given, permitted=given)


def _given(wishes: Options) -> tuple[str, ...]:
    if not (wishes.privileged or wishes.cap_add or wishes.cap_drop):
        return DEFAULT
    every = to_give(wishes.userns == "host")
    added, dropped = _names(wishes.cap_add, every), _names(wishes.cap_drop, every)
    if wishes.privileged:
        return every
    if "ALL" in added:
        return tuple(name for name in every if name not in dropped)
    kept = set() if "ALL" in dropped else set(DEFAULT) - dropped
    return tuple(name for name in every if name in kept | added)


def to_give(host_user_namespace: bool) -> tuple[str, ...]:
    """Return all that a container can have here: in a user namespace of its own everything this
    kernel knows, in the host's what we have ourselves."""
    if host_user_namespace:
        ours = syscalls.capget()[1]
        return tuple(name for name, number in NUMBERS.items() if ours >> number & 1)
    return NAMES[: _last() + 1]


@cache
def _last() -> int:
    """Return the highest capability's number that this kernel knows."""
    return int(Path("/proc/sys/kernel/cap_last_cap").read_text())


def _names(asked: Sequence[str], every: Sequence[str]) -> set[str]:
    """Spell "net_admin" as the kernel does; "ALL" stays.

    Raises:
        LabError: there is none of that name to give.
    """
    return {_name(each, every) for each in asked}


def _name(asked: str, every: Sequence[str]) -> str:
    name = asked.upper().removeprefix("CAP_")
    if name == "ALL":
        return name
    if f"CAP_{name}" not in NUMBERS:
        raise LabError(
            f"give or take the capability {asked!r}",
            "no capability has that name",
            remedy="capabilities(7) lists them; ALL means every one",
        )
    if f"CAP_{name}" not in every:
        raise LabError(
            f"give or take the capability {asked!r}",
            "this host has none of it",
            "an older kernel, or the lab itself runs without it",
        )
    return f"CAP_{name}"


def _mask(names: Iterable[str]) -> int:
    return sum(1 << NUMBERS[name] for name in names)


class DropBoundingSet(Step):
    side: ClassVar = "container"
    man: ClassVar = "PR_CAPBSET_DROP(2const)"
    reason: ClassVar = "what is not in the bounding set no program can win, root's or setuid"

    def __init__(self, sets: Capabilities) -> None:
        self.sets = sets
        kept = {NUMBERS[name] for name in sets.bounding}
        self.dropped = [number for number in range(_last() + 1) if number not in kept]

    def describe(self) -> str:
        return f"drop all but {', '.join(self.sets.bounding) or 'none'}"

    @constant
    def calls(self, context: Context) -> list[Call]:
        drop = [call("prctl", syscalls.PR_CAPBSET_DROP, number, 0, 0, 0) for number in self.dropped]
        # What survives setresuid(2) must be permitted meanwhile.
        keep = [call("prctl", syscalls.PR_SET_KEEPCAPS, 1, 0, 0, 0)]
        return [*drop, *(keep if _survives(self.sets) else [])]


def _survives(sets: Capabilities) -> bool:
    """Whether anything of them is to survive the change to a user without root's power."""
    return bool(sets.ambient or sets.inheritable)


class SetCapabilities(Step):
    """Comes after `SwitchUser`, which needs CAP_SETUID and CAP_SETGID whatever is kept."""

    side: ClassVar = "container"
    man: ClassVar = "capset(2)"
    reason: ClassVar = "root inside keeps what an image needs and no more; others have none"

    def __init__(self, sets: Capabilities) -> None:
        self.sets = sets
        self.masks = [_mask(each) for each in (sets.effective, sets.permitted, sets.inheritable)]

    def describe(self) -> str:
        return f"keep {', '.join(self.sets.permitted) or 'none'}, where the user is root"

    def calls(self, context: Context) -> list[Call]:
        sets, raised = self.sets, syscalls.PR_CAP_AMBIENT_RAISE
        # A user other than root has lost them in setresuid(2) and can't have them back.
        keeps = context.account.uid == 0 or _survives(sets)
        effective, permitted, inheritable = self.masks
        ambient = [NUMBERS[name] for name in sets.ambient]
        return [
            call("capset", *syscalls.cap_sets(effective * keeps, permitted * keeps, inheritable)),
            *(call("prctl", syscalls.PR_CAP_AMBIENT, raised, number, 0, 0) for number in ambient),
        ]


class SetNoNewPrivileges(Step):
    side: ClassVar = "container"
    man: ClassVar = "PR_SET_NO_NEW_PRIVS(2const)"
    reason: ClassVar = "no setuid program can win back what was given up"

    def describe(self) -> str:
        return "prctl(PR_SET_NO_NEW_PRIVS, 1)"

    @constant
    def calls(self, context: Context) -> list[Call]:
        return [call("prctl", syscalls.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)]
