"""Keyrings: keys that the kernel keeps for a session (keyrings(7), session-keyring(7)).

A process inherits its session keyring; in one of its own a container finds none of its creator's
keys. Another user namespace is no hindrance: keyrings are no namespace's.
"""

from __future__ import annotations

import errno
from typing import ClassVar

from labrt import syscalls
from labrt.calls import END, Call, call, kept
from labrt.step import Context, Step

# keyctl_setperm(3)
_NEW = 0x3F130000  # what a keyring has that was made by joining it
_OTHERS_SEARCH = 0x00000008
_USER_SEARCH = 0x00080000


def right_to_find(own_users: bool) -> int:
    """Return the right that lets who enters the container later find its keyring by name.

    Args:
        own_users: it has a user namespace of its own; then they are others to the kernel.
    """
    return _OTHERS_SEARCH if own_users else _USER_SEARCH


class JoinSessionKeyring(Step):
    side: ClassVar = "container"
    man: ClassVar = "session-keyring(7)"
    reason: ClassVar = "it finds none of its creator's keys"

    def __init__(self, name: str, right: int = 0) -> None:
        """`right`: added to it for those who come later, `right_to_find`; 0 where it is there."""
        self.keyring = name
        self.right = right

    def describe(self) -> str:
        return f"keyctl(KEYCTL_JOIN_SESSION_KEYRING, {self.keyring})"

    def calls(self, context: Context) -> list[Call]:
        kernel_without_keys = {errno.ENOSYS: END}
        join, give = syscalls.KEYCTL_JOIN_SESSION_KEYRING, syscalls.KEYCTL_SETPERM
        rights = _NEW | self.right
        return [
            call("keyctl", join, self.keyring, result="keyring", unless=kernel_without_keys),
            *([call("keyctl", give, kept("keyring"), rights)] if self.right else []),
        ]

    def likely(self, error: OSError) -> tuple[str, str]:
        if error.errno == errno.EDQUOT:
            return "that user has as many keys as a user may (kernel.keys.maxkeys)", "raise it"
        return "", ""
