"""The process: from a fresh child to the image's program as pid 1 (execve(2), credentials(7))."""

from __future__ import annotations

import errno
import fcntl
import os
import re
import signal
import stat
from pathlib import Path
from typing import ClassVar

from labrt import paths, syscalls
from labrt.errors import LabError, errno_text
from labrt.options import Options
from labrt.spec import Process, Spec
from labrt.step import Context, Step


class NewSession(Step):
    side: ClassVar = "container"
    man: ClassVar = "setsid(2)"
    reason: ClassVar = "the container can't push input into the user's terminal"
    vital: ClassVar = "it could type into the terminal of the user"

    def describe(self) -> str:
        return "setsid()"

    def do(self, context: Context) -> None:
        os.setsid()


class WaitForHost(Step):
    side: ClassVar = "container"
    man: ClassVar = "pipe(2)"
    reason: ClassVar = "only the host may write the id maps; before that, the child is nobody"
    vital: ClassVar = "it would go on before its ids are mapped"

    def describe(self) -> str:
        return "read the pipe from the host until it says go"

    def do(self, context: Context) -> None:
        if os.read(context.go, 2) != b"go":
            os._exit(1)  # the host gave up or died; it undoes, or the next clean-up does


class PrepareStart(Step):
    side: ClassVar = "host"
    man: ClassVar = "fifo(7)"
    reason: ClassVar = "create and start are two commands: between them the process waits here"
    vital: ClassVar = "nobody could start it"

    def __init__(self, spec: Spec) -> None:
        self.fifo = spec.start_fifo
        self.failure = spec.start_failure

    def describe(self) -> str:
        return f"mkfifo {self.fifo}; open it for the child, and a file for what fails later"

    def do(self, context: Context) -> None:
        os.mkfifo(self.fifo, 0o600)
        # For writing, too: or a read would end at once while nobody else has it open.
        context.start = os.open(self.fifo, os.O_RDWR | os.O_CLOEXEC)
        kind = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
        context.failure = os.open(self.failure, kind, 0o600)

    def undo(self, context: Context) -> None:
        for fd in (context.start, context.failure):
            if fd >= 0:
                os.close(fd)
        context.start = context.failure = -1
        for file in (self.fifo, self.failure):
            Path(file).unlink(missing_ok=True)


class FindProgram(Step):
    """What `Exec` would find out only once nobody listens any more."""

    side: ClassVar = "container"
    man: ClassVar = "execvp(3)"
    reason: ClassVar = "who creates a container is told at once that its program isn't there"

    def __init__(self, process: Process) -> None:
        self.process = process

    def describe(self) -> str:
        return f"look for {self.process.args[0]} in the container's PATH"

    def do(self, context: Context) -> None:
        program = find_program(self.process.args[0], search_path(self.process))
        if not os.access(program, os.X_OK) or os.path.isdir(program):
            os.stat(program)  # raises where it isn't there at all
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))

    def likely(self, error: OSError) -> tuple[str, str]:
        return Exec(self.process).likely(error)


class WaitForStart(Step):
    side: ClassVar = "container"
    man: ClassVar = "fifo(7)"
    reason: ClassVar = "all is made, and its creator may look at it before the program begins"
    vital: ClassVar = "it would start at once"
    parting: ClassVar = True

    def describe(self) -> str:
        return "read the FIFO until somebody writes a byte"

    def do(self, context: Context) -> None:
        # Nothing that the host has opened is held meanwhile.
        last = 2 + context.spec.process.preserved_fds
        kept = sorted(fd for fd in (context.start, context.failure, context.listener) if fd >= 0)
        for before, after in zip([last, *kept], [*kept, 1 << 32], strict=True):
            if after - before > 1:
                syscalls.close_range(before + 1, after - 1)
        os.read(context.start, 1)  # it stays open: that execve(2) closes it tells that it was done


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
    vital: ClassVar = "descriptors of the host's could lead out of it"

    def __init__(self, process: Process) -> None:
        self.first_closed = 3 + process.preserved_fds

    def describe(self) -> str:
        return f"dup2 onto 0, 1 and 2; every one from {self.first_closed} on is closed on exec"

    def do(self, context: Context) -> None:
        if any(stat.S_ISDIR(os.fstat(fd).st_mode) for fd in context.stdio):
            raise LabError(
                "pass on standard input, output and error",
                "one of them is a folder, and /proc/self/fd/0/.. would lead on to the host's files",
                remedy="mount the folder with --volume",
            )
        moved = [fcntl.fcntl(fd, fcntl.F_DUPFD_CLOEXEC, self.first_closed) for fd in context.stdio]
        for target, fd in enumerate(moved):
            os.dup2(fd, target)
        syscalls.close_range(self.first_closed, 0xFFFFFFFF, syscalls.CLOSE_RANGE_CLOEXEC)


_IGNORED = [int(number) for number in (signal.SIGPIPE, signal.SIGXFSZ, signal.SIGINT)]


class ResetSignals(Step):
    side: ClassVar = "container"
    man: ClassVar = "signal(7)"
    reason: ClassVar = "ignored signals would be inherited across execve"

    def describe(self) -> str:
        return "SIG_DFL for what Python or the launcher ignores; handlers end with execve anyway"

    def do(self, context: Context) -> None:
        for number in _IGNORED:
            syscalls.signal_default(number)


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
        if not _is_inside():
            raise LabError(
                f"start in {self.cwd}",
                "it is not in the container",
                "a link through /proc/self/fd leads out of it (CVE-2024-21626)",
                "name a folder of the image",
            )


def _is_inside() -> bool:
    """Whether the working directory is below the root (getcwd(2)): libc answers ENOENT, or the
    kernel's "(unreachable)", where it isn't."""
    try:
        return os.getcwd().startswith("/")
    except FileNotFoundError:
        return False


class SetUmask(Step):
    side: ClassVar = "container"
    man: ClassVar = "umask(2)"
    reason: ClassVar = "what files it makes doesn't depend on who started it"

    def __init__(self, umask: int) -> None:
        self.umask = umask

    def describe(self) -> str:
        return f"umask({self.umask:04o})"

    def do(self, context: Context) -> None:
        os.umask(self.umask)


class SetPersonality(Step):
    side: ClassVar = "container"
    man: ClassVar = "personality(2)"
    reason: ClassVar = "asked for: uname(2) names a 32-bit machine to it"

    def __init__(self, domain: str) -> None:
        self.domain = domain

    def describe(self) -> str:
        return f"personality(PER_{self.domain})"

    def do(self, context: Context) -> None:
        syscalls.personality(PERSONALITIES[self.domain])


PERSONALITIES = {"LINUX": 0, "LINUX32": 8}  # sys/personality.h


class SetOomScoreAdj(Step):
    side: ClassVar = "host"
    man: ClassVar = "proc_pid_oom_score_adj(5)"
    reason: ClassVar = "asked for; only who has CAP_SYS_RESOURCE over the host may lower it"

    def __init__(self, value: int) -> None:
        self.value = value

    def describe(self) -> str:
        return f"write {self.value} into /proc/CHILD/oom_score_adj"

    def do(self, context: Context) -> None:
        paths.write(f"/proc/{context.pid}/oom_score_adj", str(self.value))

    def likely(self, error: OSError) -> tuple[str, str]:
        if error.errno == errno.EACCES:
            return (
                "below the lab's own value, which takes CAP_SYS_RESOURCE; or, as a user, for a "
                "process in a container that runs",
                "ask for a higher one, or leave it out",
            )
        return "", ""


class Exec(Step):
    side: ClassVar = "container"
    man: ClassVar = "execve(2)"
    reason: ClassVar = "the child becomes the image's program"
    vital: ClassVar = "there would be no program"

    def __init__(self, process: Process) -> None:
        self.process = process

    def describe(self) -> str:
        return f"execve {' '.join(self.process.args)}"

    def do(self, context: Context) -> None:
        environment = _variables(self.process)
        if not environment.get("HOME"):
            environment["HOME"] = context.home
        program = find_program(self.process.args[0], search_path(self.process))
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


def _variables(process: Process) -> dict[str, str]:
    return dict(entry.partition("=")[::2] for entry in process.env)


def search_path(process: Process) -> str:
    """Return where a process's program is looked for: its own PATH (execvp(3))."""
    return _variables(process).get("PATH", os.defpath)


def find_program(name: str, path: str) -> str:
    """Return where a program is, as execvp(3) would find it; asking is cheaper than trying.

    Returns:
        The first executable file below `path`'s folders; else one that is there at all; else
        `name`. execve(2) then tells what is wrong with it.

    Raises:
        FileNotFoundError: the name is empty, to which Python has another answer than execve(2).
    """
    if not name:
        raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT))
    if "/" in name:
        return name
    places = [f"{folder or '.'}/{name}" for folder in path.split(":")]
    for place in places:
        if os.access(place, os.X_OK) and os.path.isfile(place):
            return place
    return next(filter(os.path.exists, places), name)


def environment(wishes: Options) -> tuple[str, ...]:
    """Return the variables of --env-file and --env; a NAME alone takes the value that it has here,
    if any.

    Raises:
        LabError: one without a name; a file that can't be read.
    """
    chosen = []
    for entry in (*(line for file in wishes.env_file for line in _lines(file)), *wishes.env):
        name, given, _ = entry.partition("=")
        if not name:
            raise LabError(f"set the variable {entry!r}", "it has no name", remedy="NAME=VALUE")
        if given:
            chosen.append(entry)
        elif name in os.environ:
            chosen.append(f"{name}={os.environ[name]}")
    return tuple(chosen)


def _lines(file: str) -> list[str]:
    """Return the lines of a file that are neither empty nor comments."""
    try:
        lines = [line.lstrip() for line in Path(file).read_text().splitlines()]
    except (OSError, UnicodeDecodeError) as error:
        answer = errno_text(error) if isinstance(error, OSError) else "it is no text in UTF-8"
        raise LabError(f"read the variables in {file}", answer) from None
    return [line for line in lines if line and not line.startswith("#")]


def no_new_privileges(wishes: Options) -> bool:
    """Return whether setuid programs are to lose their power; --security-opt may say no, and
    --privileged does unless it says yes.

    Raises:
        LabError: a security option that is none.
    """
    chosen = not wishes.privileged
    for option in wishes.security_opt:
        name, _, value = option.replace(":", "=", 1).partition("=")
        if name == "no-new-privileges" and value in ("", "true", "false"):
            chosen = value != "false"
        elif name != "seccomp" or not value:
            raise LabError(
                f"use the security option {option!r}",
                "there is none of this kind",
                remedy="no-new-privileges[=true|false], seccomp=unconfined or seccomp=FILE",
            )
    return chosen


def oom_score_adj(wishes: Options) -> int | None:
    """Return --oom-score-adj (proc_pid_oom_score_adj(5)).

    Raises:
        LabError: not a whole number from -1000 to 1000.
    """
    if wishes.oom_score_adj is None:
        return None
    if not re.fullmatch(r"-?[0-9]{1,4}", wishes.oom_score_adj) or (
        abs(int(wishes.oom_score_adj)) > 1000
    ):
        raise LabError(
            f"set oom_score_adj to {wishes.oom_score_adj!r}",
            "not a whole number from -1000 to 1000",
        )
    return int(wishes.oom_score_adj)
