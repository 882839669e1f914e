"""Labels: what a security module knows a process by (apparmor(7), selinux(8)).

A module that the host hasn't is refused by name before anything is made. A label is asked for by
writing into /proc/self/attr, and given by execve(2). The file is opened while the host's /proc is
in sight, for what a container has at its own /proc is no matter of trust.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import ClassVar

from labrt.errors import LabError
from labrt.spec import Process
from labrt.step import Context, Step

_APPARMOR = Path("/sys/module/apparmor/parameters/enabled")
_SELINUX = Path("/sys/fs/selinux/enforce")


def has_apparmor() -> bool:
    """Whether this kernel heeds AppArmor profiles."""
    return _APPARMOR.exists() and _APPARMOR.read_text().startswith("Y")


def has_selinux() -> bool:
    """Whether this kernel heeds SELinux labels, and a policy is loaded."""
    return _SELINUX.exists()


def check(apparmor: str, selinux: str) -> None:
    """Refuse labels of a module that this host hasn't.

    Raises:
        LabError: it hasn't.
    """
    for label, module, there in (
        (apparmor, "AppArmor profile", has_apparmor),
        (selinux, "SELinux label", has_selinux),
    ):
        if label and not there():
            raise LabError(
                f"give the {module} {label!r}",
                "this host has no such module",
                remedy="leave it out",
            )


class OpenAttributes(Step):
    side: ClassVar = "container"
    man: ClassVar = "proc_pid_attr(5)"
    reason: ClassVar = "the label is asked for by the host's /proc, which no image can feign"
    vital: ClassVar = "the program would run without its label"

    def __init__(self, process: Process) -> None:
        # Where both are stacked, the old file is the first one's, and AppArmor has its own.
        own = "/proc/self/attr/apparmor/exec"
        self.file = own if process.apparmor and os.path.exists(own) else "/proc/self/attr/exec"

    def describe(self) -> str:
        return f"open {self.file}"

    def do(self, context: Context) -> None:
        context.attributes = os.open(self.file, os.O_WRONLY | os.O_CLOEXEC)


class SetLabel(Step):
    side: ClassVar = "container"
    man: ClassVar = "proc_pid_attr(5)"
    reason: ClassVar = "asked for: the security module confines the program by its label"
    vital: ClassVar = "the program would run without its label"

    def __init__(self, process: Process) -> None:
        self.text = f"exec {process.apparmor}" if process.apparmor else process.selinux

    def describe(self) -> str:
        return f"write {self.text!r} into it, for execve(2) to heed"

    def do(self, context: Context) -> None:
        os.write(context.attributes, self.text.encode())
        os.close(context.attributes)
