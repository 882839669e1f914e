"""Resource limits of a process (getrlimit(2)): how many files it may open, how large they may be.

They are older than cgroups and count a process, or a user's processes, not a container.
"""

from __future__ import annotations

import errno
import resource
import struct
from typing import ClassVar

from labrt import syscalls
from labrt.calls import Call, call
from labrt.errors import LabError
from labrt.options import Options
from labrt.spec import Rlimit
from labrt.step import Context, Step

NUMBERS: dict[str, int] = {
    name: number
    for name, number in vars(resource).items()
    if name.startswith("RLIMIT_") and name != "RLIMIT_OFILE"
}
# As Docker and ulimit(1) name them.
_NAMES = tuple(name.removeprefix("RLIMIT_").lower() for name in NUMBERS if name != "RLIMIT_AS")
_CAP_SYS_RESOURCE = 24


def chosen(wishes: Options) -> tuple[Rlimit, ...]:
    """Return the limits of --ulimit; of two of one name the last holds.

    Raises:
        LabError: a name or a value that is none, or more than this host lets us give.
    """
    limits = [_parsed(text) for text in wishes.ulimit]
    return tuple({limit.type: limit for limit in limits}.values())


def _parsed(text: str) -> Rlimit:
    name, _, values = text.partition("=")
    soft, _, hard = values.partition(":")
    tried = f"set the limit {text!r}"
    if name not in _NAMES:
        known = ", ".join(sorted(_NAMES))
        raise LabError(tried, f"no limit is called {name!r}", remedy=f"name one of {known}")
    try:
        limit = Rlimit(f"RLIMIT_{name.upper()}", int(soft), int(hard or soft))
    except ValueError:
        raise LabError(tried, "not NAME=SOFT[:HARD]", remedy="nofile=64, core=-1") from None
    if limit.soft < -1 or limit.hard < -1 or above(limit.soft, limit.hard):
        raise LabError(tried, "the soft limit is above the hard one, or a limit below -1")
    check(tried, limit)
    return limit


def check(tried: str, limit: Rlimit) -> None:
    """Refuse a limit that isn't ours to give.

    Raises:
        LabError: it is above the host's hard limit, and we may not raise that.
    """
    highest = resource.getrlimit(_number(limit))[1]
    if above(limit.hard, highest) and not syscalls.capget()[0] >> _CAP_SYS_RESOURCE & 1:
        raise LabError(
            tried,
            f"this host's hard limit is {highest}, and the lab may not raise it",
            "it runs without CAP_SYS_RESOURCE",
            f"ask for no more than {highest}, or raise the host's limit first",
        )


def _number(limit: Rlimit) -> int:
    return NUMBERS[limit.type]


def above(one: int, other: int) -> bool:
    """Compare two limits; -1 is infinity (RLIM_INFINITY)."""
    return other != -1 and (one == -1 or one > other)


class RaiseHardLimits(Step):
    side: ClassVar = "host"
    man: ClassVar = "prlimit(2)"
    reason: ClassVar = "only who has CAP_SYS_RESOURCE over the host may raise a hard limit"

    def __init__(self, rlimits: tuple[Rlimit, ...]) -> None:
        self.rlimits = rlimits

    def describe(self) -> str:
        asked = ", ".join(f"{limit.type} {limit.hard}" for limit in self.rlimits)
        return f"prlimit(CHILD) up to {asked}, where it is lower"

    def do(self, context: Context) -> None:
        for limit in self.rlimits:
            soft, hard = resource.prlimit(context.pid, _number(limit))
            if above(limit.hard, hard):
                resource.prlimit(context.pid, _number(limit), (soft, limit.hard))

    def likely(self, error: OSError) -> tuple[str, str]:
        if error.errno == errno.EPERM:
            return "without CAP_SYS_RESOURCE, or nofile above the sysctl fs.nr_open", "ask for less"
        return "", ""


class SetRlimits(Step):
    """Late, because the start itself opens files."""

    side: ClassVar = "container"
    man: ClassVar = "setrlimit(2)"
    reason: ClassVar = "asked for"

    def __init__(self, rlimits: tuple[Rlimit, ...]) -> None:
        self.rlimits = rlimits

    def describe(self) -> str:
        return ", ".join(f"{limit.type} {limit.soft}:{limit.hard}" for limit in self.rlimits)

    def calls(self, context: Context) -> list[Call]:
        ours = 0
        return [
            call("prlimit64", ours, _number(each), _packed(each), None) for each in self.rlimits
        ]


def _packed(limit: Rlimit) -> bytes:
    """Return a struct rlimit64."""
    infinity = (1 << 64) - 1
    return struct.pack("=QQ", limit.soft & infinity, limit.hard & infinity)
