"""The root moved: how a bundle's container leaves the host's files where pivot_root(2) can't be, as
on the first root of an initramfs (`--no-pivot`; switch_root(8) does the same).

The host's tree stays in the mount namespace, below the container's. No path leads there, but it is
less than pivot_root gives, so it must be asked for.
"""

from __future__ import annotations

import errno
import os
from typing import ClassVar

from labrt import syscalls
from labrt.calls import Call, call
from labrt.mount_points import is_below
from labrt.step import Context, Step, constant
from labrt.syscalls import MNT_DETACH


class MakeMountsSlaves(Step):
    """In place of `MakeMountsPrivate`."""

    side: ClassVar = "container"
    man: ClassVar = "mount_namespaces(7)"
    reason: ClassVar = (
        "no mount made here reaches the host, and what that unmounts isn't held below"
    )

    def describe(self) -> str:
        return "mount(/, MS_REC|MS_SLAVE)"

    @constant
    def calls(self, context: Context) -> list[Call]:
        return [call("mount", None, "/", None, syscalls.MS_REC | syscalls.MS_SLAVE, None)]


class HideKernel(Step):
    """The kernel lets root of a user namespace mount a /proc or a /sys where one can be seen in
    full, and what `MoveRoot` covers is there to be seen (mount_namespaces(7))."""

    side: ClassVar = "container"
    man: ClassVar = "umount2(2)"
    reason: ClassVar = (
        "the host's /proc and /sys would stay, below, and with them the way to others"
    )
    vital: ClassVar = "the container could mount a /proc without masks"

    def describe(self) -> str:
        return "umount2 the host's /proc and /sys, wherever they are mounted"

    def do(self, context: Context) -> None:
        own = os.readlink("/proc/self/cwd")
        for place in reversed(_kernels_places()):
            if not is_below(place, (own,)):
                syscalls.umount2(place, MNT_DETACH)

    def likely(self, error: OSError) -> tuple[str, str]:
        if error.errno in (errno.EINVAL, errno.EPERM):
            return (
                "in a user namespace of its own the host's mounts are locked, and /proc stays",
                "leave --no-pivot out",
            )
        return "", ""


def _kernels_places() -> list[str]:
    """Return where procfs and sysfs are mounted (proc_pid_mountinfo(5)), as mounted one by one."""
    with open("/proc/self/mountinfo", errors="surrogateescape") as file:
        fields = [line.split() for line in file]
    kinds = ("proc", "sysfs")
    return [_unescaped(each[4]) for each in fields if each[each.index("-") + 1] in kinds]


def _unescaped(text: str) -> str:
    r"""A blank is "\040", as are tabs, newlines and backslashes."""
    for code in ("040", "011", "012", "134"):
        text = text.replace(f"\\{code}", chr(int(code, 8)))
    return text


class MoveRoot(Step):
    side: ClassVar = "container"
    man: ClassVar = "mount(2)"
    reason: ClassVar = "asked for: pivot_root(2) can't leave the first root of an initramfs"
    vital: ClassVar = "the program would run on the host's files"

    def describe(self) -> str:
        return "mount(., /, MS_MOVE); chroot(.)"

    @constant
    def calls(self, context: Context) -> list[Call]:
        # From then on "/.." is the container's root, too: it is what is mounted last on the host's.
        over = call("mount", ".", "/", None, syscalls.MS_MOVE, None)
        return [over, call("chroot", "."), call("chdir", "/")]
