"""The process: from a fresh child to the image's program as pid 1 (execve(2), credentials(7))."""

from __future__ import annotations

import errno
import fcntl
import os
import signal
from typing import ClassVar

from labrt import syscalls
from labrt.errors import LabError
from labrt.options import Options
from labrt.spec import Process, Rlimit
from labrt.step import Context, Step


class NewSession(Step):
    side: ClassVar = "container"
    man: ClassVar = "setsid(2)"
    reason: ClassVar = "the container can't push input into the user's terminal"

    def describe(self) -> str:
        return "setsid()"

    def do(self, context: Context) -> None:
        os.setsid()


class WaitForHost(Step):
    side: ClassVar = "container"
    man: ClassVar = "pipe(2)"
    reason: ClassVar = "only the host may write the id maps; before that, the child is nobody"

    def describe(self) -> str:
        return "read the pipe from the host until it says go"

    def do(self, context: Context) -> None:
        if os.read(context.go, 2) != b"go":
            os._exit(1)  # the host gave up or died; it undoes, or the next clean-up does


class DieWithParent(Step):
    side: ClassVar = "container"
    man: ClassVar = "PR_SET_PDEATHSIG(2const)"
    reason: ClassVar = "if the process that started it is killed, the container ends too"

    def describe(self) -> str:
        return "prctl(PR_SET_PDEATHSIG, SIGKILL)"

    def do(self, context: Context) -> None:
        syscalls.prctl(syscalls.PR_SET_PDEATHSIG, signal.SIGKILL)


class ConnectStdio(Step):
    side: ClassVar = "container"
    man: ClassVar = "dup2(2)"
    reason: ClassVar = "standard input, output and error are all it inherits"

    def describe(self) -> str:
        return "dup2 onto 0, 1 and 2; every other descriptor is closed on exec"

    def do(self, context: Context) -> None:
        moved = [fcntl.fcntl(fd, fcntl.F_DUPFD_CLOEXEC, 3) for fd in context.stdio]
        for target, fd in enumerate(moved):
            os.dup2(fd, target)
        syscalls.close_range(3, 0xFFFFFFFF, syscalls.CLOSE_RANGE_CLOEXEC)


class ResetSignals(Step):
    side: ClassVar = "container"
    man: ClassVar = "signal(7)"
    reason: ClassVar = "ignored signals would be inherited across execve"

    def describe(self) -> str:
        return "SIG_DFL for what Python or the launcher ignores; handlers end with execve anyway"

    def do(self, context: Context) -> None:
        for number in (signal.SIGPIPE, signal.SIGXFSZ, signal.SIGINT):
            signal.signal(number, signal.SIG_DFL)


class ChangeDirectory(Step):
    side: ClassVar = "container"
    man: ClassVar = "chdir(2)"
    reason: ClassVar = "the image says where its program starts"

    def __init__(self, cwd: str) -> None:
        self.cwd = cwd

    def describe(self) -> str:
        return f"chdir {self.cwd}"

    def do(self, context: Context) -> None:
        try:
            os.chdir(self.cwd)
        except FileNotFoundError:
            os.makedirs(self.cwd)
            os.chdir(self.cwd)


class SwitchUser(Step):
    side: ClassVar = "container"
    man: ClassVar = "setresuid(2)"
    reason: ClassVar = "the image's program need not be root even inside"

    def __init__(self, user: str, groups: tuple[int, ...]) -> None:
        self.user = user
        self.groups = groups

    def describe(self) -> str:
        return f"setresgid and setresuid to {self.user}, groups {list(self.groups)}"

    def do(self, context: Context) -> None:
        raise LabError(f"become {self.user}", "not yet")

    def likely(self, error: OSError) -> tuple[str, str]:
        if error.errno == errno.EINVAL:
            return "that id isn't mapped into the container", "run as root, which maps 65,536 ids"
        return "", ""


class Exec(Step):
    side: ClassVar = "container"
    man: ClassVar = "execve(2)"
    reason: ClassVar = "the child becomes the image's program"

    def __init__(self, process: Process) -> None:
        self.process = process

    def describe(self) -> str:
        return f"execve {' '.join(self.process.args)}"

    def do(self, context: Context) -> None:
        environment = dict(entry.partition("=")[::2] for entry in self.process.env)
        program = find_program(self.process.args[0], environment.get("PATH", os.defpath))
        os.execve(program, self.process.args, environment)

    def likely(self, error: OSError) -> tuple[str, str]:
        program = self.process.args[0]
        if error.errno == errno.ENOENT:
            return f"the image has no program {program!r}, or not its interpreter", "check the name"
        if error.errno == errno.EACCES:
            return f"{program!r} is not executable", "name a program, not a folder or a data file"
        if error.errno == errno.ENOEXEC:
            return f"{program!r} is not for this kind of processor, or has no #! line", ""
        return "", ""


def find_program(name: str, path: str) -> str:
    """Return where a program is, as execvp(3) would find it; asking is cheaper than trying.

    Returns:
        The first executable file below `path`'s folders; else one that is there at all; else
        `name`. execve(2) then tells what is wrong with it.
    """
    if "/" in name:
        return name
    places = [f"{folder or '.'}/{name}" for folder in path.split(":")]
    for place in places:
        if os.access(place, os.X_OK) and os.path.isfile(place):
            return place
    return next(filter(os.path.exists, places), name)


def groups(wishes: Options) -> tuple[int, ...]:
    """Return the supplementary groups of --group-add."""
    return ()


def rlimits(wishes: Options) -> tuple[Rlimit, ...]:
    """Return the limits of --ulimit (getrlimit(2))."""
    return ()


def no_new_privileges(wishes: Options) -> bool:
    """Return whether setuid programs are to lose their power; --security-opt may say no."""
    return True


def oom_score_adj(wishes: Options) -> int | None:
    """Return --oom-score-adj (proc_pid_oom_score_adj(5))."""
    return None
