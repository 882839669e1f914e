"""Devices: the handful of nodes in /dev that a program expects (null(4), random(4), tty(4)).

mknod(2) is refused in a user namespace, so each node is the host's own, bound onto an empty file.

Lesson: notebook 03.
"""

from __future__ import annotations

import os
from typing import ClassVar

from labrt import syscalls
from labrt.step import Context, Step
from labrt.syscalls import MS_BIND

# https://github.com/opencontainers/runtime-spec/blob/main/config-linux.md#default-devices
NODES = ("null", "zero", "full", "random", "urandom", "tty")
LINKS = {
    "fd": "/proc/self/fd",
    "stdin": "/proc/self/fd/0",
    "stdout": "/proc/self/fd/1",
    "stderr": "/proc/self/fd/2",
    "ptmx": "pts/ptmx",
}
# Its own devpts numbers from 0, and the first terminal is the container's.
CONSOLE = {"console": "pts/0"}


class BindDevice(Step):
    side: ClassVar = "container"
    man: ClassVar = "mount(2)"
    reason: ClassVar = "every program expects it, and it can't harm the host"

    def __init__(self, node: str) -> None:
        self.node = node

    def describe(self) -> str:
        return f"bind the host's /dev/{self.node} on /dev/{self.node}"

    def do(self, context: Context) -> None:
        target = f"/dev/{self.node}"
        os.close(os.open(target, os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_CLOEXEC, 0o666))
        syscalls.mount(f"/proc/self/fd/{context.host_root}{target}", target, None, MS_BIND)


class LinkDevices(Step):
    side: ClassVar = "container"
    man: ClassVar = "symlink(2)"
    reason: ClassVar = "/dev/stdout and its kind are links into /proc"

    def __init__(self, terminal: bool) -> None:
        self.links = LINKS | (CONSOLE if terminal else {})

    def describe(self) -> str:
        return ", ".join(f"/dev/{name} -> {target}" for name, target in self.links.items())

    def do(self, context: Context) -> None:
        for name, target in self.links.items():
            os.symlink(target, f"/dev/{name}")
