"""A container of bubblewrap, the sandbox below Flatpak: namespaces and a root, and nothing else.

It maps one id, its caller's own, and knows no cgroups.
Man page: bwrap(1).
"""

from __future__ import annotations

import os
from typing import ClassVar

from bench.scratch import Scratch
from bench.subjects._sandbox import Sandbox, SandboxInstance
from bench.subjects.base import Workload
from labrt.spec import Spec


class BubblewrapInstance(SandboxInstance):
    def command(self, spec: Spec) -> list[str]:
        variables = [word for pair in spec.process.env for word in _setenv(pair)]
        return [
            *("bwrap", "--unshare-all", "--as-pid-1", "--uid", "0", "--gid", "0"),
            *("--cap-drop", "ALL", "--new-session", "--hostname", spec.hostname),
            *("--bind", str(self._bundle / "rootfs"), "/", "--proc", "/proc", "--dev", "/dev"),
            *(word for each in self._scratch.volumes for word in ("--bind", *each.split(":"))),
            *("--chdir", spec.process.cwd, "--clearenv", *variables, "--", *spec.process.args),
        ]


def _setenv(pair: str) -> list[str]:
    name, _, value = pair.partition("=")
    return ["--setenv", name, value]


class Bubblewrap(Sandbox):
    name: ClassVar = "bubblewrap"
    title: ClassVar = "bubblewrap container"
    tool: ClassVar = "bwrap"
    package: ClassVar = "bubblewrap"
    posture: ClassVar = (
        "all seven namespaces, root is the bench's own uid without any capability; no seccomp "
        "filter, no masks in /proc, a /dev of eight devices"
    )
    instance: ClassVar = BubblewrapInstance

    def _scratch(self, workload: Workload, name: str) -> Scratch:
        return Scratch(name, workload.scratch, os.geteuid())
