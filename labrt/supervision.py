"""Supervision: system calls that a program outside of the container decides (seccomp_unotify(2)).

A filter says which. Loading it gives a descriptor by which the supervisor is asked; it goes over a
Unix socket that the supervisor listens on, together with the container's state. The socket is
connected while the child still sees the host's files.

https://github.com/opencontainers/runtime-spec/blob/main/config-linux.md#containerprocessstate
"""

from __future__ import annotations

import array
import json
import os
import socket
from typing import Any, ClassVar

from labrt import syscalls
from labrt.seccomp import LoadSeccomp, supervised
from labrt.spec import VERSION, Spec
from labrt.step import Context, Step


def is_supervised(spec: Spec) -> bool:
    """Whether some of the container's system calls are decided outside."""
    return spec.seccomp[:1] == "{" and supervised(json.loads(spec.seccomp))


class ConnectSupervisor(Step):
    side: ClassVar = "container"
    man: ClassVar = "seccomp_unotify(2)"
    reason: ClassVar = "some system calls are decided by a program of the host's"
    vital: ClassVar = "those system calls would wait for ever"

    def __init__(self, spec: Spec) -> None:
        self.path: str = json.loads(spec.seccomp)["listenerPath"]

    def describe(self) -> str:
        return f"connect to {self.path}"

    def do(self, context: Context) -> None:
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as way:
            way.connect(self.path)
            context.listener = way.detach()
        context.host_pid = int(os.readlink("/proc/self"))


class LoadSupervisedSeccomp(LoadSeccomp):
    """Before `WaitForStart`, so that who creates the container is told if it can't be."""

    def __init__(self, spec: Spec) -> None:
        self.profile: dict[str, Any] = json.loads(spec.seccomp)

    def describe(self) -> str:
        return f"{super().describe()}; send its listener to {self.profile['listenerPath']}"

    def calls(self, context: Context) -> None:
        """To send a descriptor takes more."""

    def do(self, context: Context) -> None:
        flags, program = context.filter
        pid = context.host_pid
        told = {
            "ociVersion": VERSION,
            "fds": ["seccompFd"],
            "pid": pid,
            "metadata": self.profile.get("listenerMetadata") or "",
            "state": context.spec.state("creating", pid),
        }
        text = json.dumps(told).encode()
        with socket.socket(fileno=context.listener) as way:
            context.listener = -1
            asked = syscalls.seccomp(program, flags)
            rights = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", [asked]))]
            sent = way.sendmsg([text], rights)
            way.sendall(text[sent:])
        os.close(asked)
