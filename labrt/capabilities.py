"""Capabilities: root's power in small pieces (capabilities(7)).

The container's root keeps the set that Docker and Podman keep by default, and only over what its
user namespace owns.

Lesson: notebook 16.
"""

from __future__ import annotations

import errno
from typing import ClassVar

from labrt import syscalls
from labrt.options import Options
from labrt.spec import Capabilities
from labrt.step import Context, Step

# Numbers from linux/capability.h.
NUMBERS = {
    "CAP_CHOWN": 0,
    "CAP_DAC_OVERRIDE": 1,
    "CAP_FOWNER": 3,
    "CAP_FSETID": 4,
    "CAP_KILL": 5,
    "CAP_SETGID": 6,
    "CAP_SETUID": 7,
    "CAP_SETPCAP": 8,
    "CAP_NET_BIND_SERVICE": 10,
    "CAP_NET_RAW": 13,
    "CAP_SYS_CHROOT": 18,
    "CAP_MKNOD": 27,
    "CAP_AUDIT_WRITE": 29,
    "CAP_SETFCAP": 31,
}
DEFAULT = tuple(NUMBERS)


class DropCapabilities(Step):
    side: ClassVar = "container"
    man: ClassVar = "capabilities(7)"
    reason: ClassVar = "root inside keeps what an image needs and no more"

    def __init__(self, sets: Capabilities) -> None:
        self.keep = sets.bounding

    def describe(self) -> str:
        return f"keep {', '.join(self.keep)}"

    def do(self, context: Context) -> None:
        kept = {NUMBERS[name] for name in self.keep}
        for number in range(64):
            if number not in kept and not _drop_from_bounding_set(number):
                break
        mask = sum(1 << number for number in kept)
        syscalls.capset(effective=mask, permitted=mask, inheritable=0)


def _drop_from_bounding_set(number: int) -> bool:
    """Drop one; False where this kernel has none of that number (they have no gaps)."""
    try:
        syscalls.prctl(syscalls.PR_CAPBSET_DROP, number)
        return True
    except OSError as error:
        if error.errno != errno.EINVAL:
            raise
        return False


class SetNoNewPrivileges(Step):
    side: ClassVar = "container"
    man: ClassVar = "prctl(2)"
    reason: ClassVar = "no setuid program can win back what was given up"

    def describe(self) -> str:
        return "prctl(PR_SET_NO_NEW_PRIVS, 1)"

    def do(self, context: Context) -> None:
        syscalls.prctl(syscalls.PR_SET_NO_NEW_PRIVS, 1)


def chosen(wishes: Options) -> Capabilities:
    """Return the five sets for --cap-add, --cap-drop and --privileged."""
    return Capabilities(bounding=DEFAULT, effective=DEFAULT, permitted=DEFAULT)
