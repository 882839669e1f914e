"""The process: from a fresh child to the image's program as pid 1 (execve(2), credentials(7))."""

from __future__ import annotations

import errno
import fcntl
import os
import re
import signal
import stat
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import ClassVar

from labrt import paths, syscalls
from labrt.calls import (
    ANY,
    AT_FDCWD,
    END,
    Call,
    Operand,
    call,
    descriptor,
    expect,
    kept,
    leave_unless,
    pointers,
    refuse,
    scratch,
)
from labrt.errors import LabError, errno_text
from labrt.options import Options
from labrt.spec import Process, Spec
from labrt.step import Context, Step, constant


class NewSession(Step):
    side: ClassVar = "container"
    man: ClassVar = "setsid(2)"
    reason: ClassVar = "the container can't push input into the user's terminal"
    vital: ClassVar = "it could type into the terminal of the user"

    def describe(self) -> str:
        return "setsid()"

    @constant
    def calls(self, context: Context) -> list[Call]:
        return [call("setsid")]


class WaitForHost(Step):
    side: ClassVar = "container"
    man: ClassVar = "pipe(2)"
    reason: ClassVar = "only the host may write the id maps; before that, the child is nobody"
    vital: ClassVar = "it would go on before its ids are mapped"

    def describe(self) -> str:
        return "read the pipe from the host until it says go"

    def calls(self, context: Context) -> list[Call]:
        said = call("read", descriptor(context.go), scratch(), 2)
        # Or the host gave up or died; it undoes, or the next clean-up does.
        return [said, *leave_unless(scratch(), b"go")]


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

    def calls(self, context: Context) -> list[Call]:
        kind = os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC
        places = _places(self.process)
        return [
            *_at_each(
                places,
                os.X_OK,
                lambda place: call("openat", AT_FDCWD, place, kind, 0, unless={errno.ENOTDIR: END}),
            ),
            *_at_each(places, os.F_OK, lambda place: refuse(errno.EACCES)),
            refuse(errno.ENOENT),
        ]

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

    def calls(self, context: Context) -> list[Call] | None:
        if context.listener >= 0:
            return None
        first, everything = 3 + context.spec.process.preserved_fds, 0xFFFFFFFF
        copy, out_of_the_way = fcntl.F_DUPFD_CLOEXEC, first + 2
        start, failure, closed = kept("file"), kept("report"), os.O_CLOEXEC
        return [
            call("fcntl", descriptor(context.start), copy, out_of_the_way, result="file"),
            call("fcntl", descriptor(context.failure), copy, out_of_the_way, result="report"),
            call("dup3", start, first, closed, result="file"),
            call("dup3", failure, first + 1, closed, result="report"),
            # Nothing that the host has opened is held meanwhile.
            call("close_range", out_of_the_way, everything, 0),
            call("read", start, scratch(), 1),
        ]

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

    @constant
    def calls(self, context: Context) -> list[Call]:
        return [call("prctl", syscalls.PR_SET_PDEATHSIG, int(signal.SIGKILL))]


class ConnectStdio(Step):
    side: ClassVar = "container"
    man: ClassVar = "dup2(2)"
    reason: ClassVar = "standard input, output and error are all it inherits"
    vital: ClassVar = "descriptors of the host's could lead out of it"

    def __init__(self, process: Process) -> None:
        self.first_closed = 3 + process.preserved_fds

    def describe(self) -> str:
        return f"dup2 onto 0, 1 and 2; every one from {self.first_closed} on is closed on exec"

    def calls(self, context: Context) -> list[Call]:
        if any(stat.S_ISDIR(os.fstat(fd).st_mode) for fd in context.stdio):
            raise LabError(
                "pass on standard input, output and error",
                "one of them is a folder, and /proc/self/fd/0/.. would lead on to the host's files",
                remedy="mount the folder with --volume",
            )
        copy, first = fcntl.F_DUPFD_CLOEXEC, self.first_closed
        return [
            *(
                call("fcntl", descriptor(fd), copy, first, result=stream)
                for stream, fd in zip(_STREAMS, context.stdio, strict=True)
            ),
            *(call("dup3", kept(stream), target, 0) for target, stream in enumerate(_STREAMS)),
            call("close_range", first, 0xFFFFFFFF, syscalls.CLOSE_RANGE_CLOEXEC),
        ]


_STREAMS = ("stdin", "stdout", "stderr")
# By Python; by the launcher; and by glibc's posix_spawn(3), which leaves its own two so.
_IGNORED = (int(signal.SIGPIPE), int(signal.SIGXFSZ), int(signal.SIGINT), 32, 33)
_DEFAULT_ACTION = bytes(64)  # struct sigaction with SIG_DFL, no flags, no mask
_SIGSET = 8  # bytes of the kernel's sigset_t


class ResetSignals(Step):
    side: ClassVar = "container"
    man: ClassVar = "signal(7)"
    reason: ClassVar = "ignored signals would be inherited across execve"

    def describe(self) -> str:
        return (
            "SIG_DFL for what Python, libc or the launcher ignore; handlers end with execve anyway"
        )

    @constant
    def calls(self, context: Context) -> list[Call]:
        return [call("rt_sigaction", number, _DEFAULT_ACTION, None, _SIGSET) for number in _IGNORED]


class ChangeDirectory(Step):
    side: ClassVar = "container"
    man: ClassVar = "chdir(2)"
    reason: ClassVar = "the image says where its program starts"

    def __init__(self, cwd: str) -> None:
        self.cwd = cwd

    def describe(self) -> str:
        return f"chdir {self.cwd}"

    @constant
    def calls(self, context: Context) -> list[Call]:
        outside = LabError(
            f"start in {self.cwd}",
            "it is not in the container",
            "a link through /proc/self/fd leads out of it (CVE-2024-21626)",
            "name a folder of the image",
        )
        folders = [folder for folder in _with_parents(self.cwd) if folder != "/"]
        return [
            call("chdir", self.cwd, then=len(folders) + 1, unless={errno.ENOENT: 0}),
            *(
                call("mkdirat", AT_FDCWD, folder, 0o777, unless={errno.EEXIST: 0})
                for folder in folders
            ),
            call("chdir", self.cwd),
            # The kernel says "(unreachable)/…" of a folder that isn't below the root (getcwd(2)).
            call("getcwd", scratch(), 4096, refusals={errno.ENOENT: outside}),
            expect(scratch(), b"/", outside),
        ]


def _with_parents(path: str) -> list[str]:
    """Return an absolute path's folders from the uppermost on, and the path itself."""
    parts = path.strip("/").split("/")
    return ["/" + "/".join(parts[: count + 1]) for count in range(len(parts))]


class SetUmask(Step):
    side: ClassVar = "container"
    man: ClassVar = "umask(2)"
    reason: ClassVar = "what files it makes doesn't depend on who started it"

    def __init__(self, umask: int) -> None:
        self.umask = umask

    def describe(self) -> str:
        return f"umask({self.umask:04o})"

    @constant
    def calls(self, context: Context) -> list[Call]:
        return [call("umask", self.umask)]


class SetPersonality(Step):
    side: ClassVar = "container"
    man: ClassVar = "personality(2)"
    reason: ClassVar = "asked for: uname(2) names a 32-bit machine to it"

    def __init__(self, domain: str) -> None:
        self.domain = domain

    def describe(self) -> str:
        return f"personality(PER_{self.domain})"

    @constant
    def calls(self, context: Context) -> list[Call]:
        return [call("personality", PERSONALITIES[self.domain])]


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

    def calls(self, context: Context) -> list[Call]:
        variables = _variables(self.process)
        if not variables.get("HOME"):
            variables["HOME"] = context.account.home
        arguments = _strings(self.process.args)
        environment = _strings(f"{name}={value}" for name, value in variables.items())
        places = _places(self.process)
        elsewhere = dict.fromkeys((errno.ENOENT, errno.ENOTDIR, errno.EACCES), 0)
        return [
            *_at_each(
                places,
                os.X_OK,
                lambda place: call("execve", place, arguments, environment, unless=elsewhere),
            ),
            *_at_each(places, os.F_OK, lambda place: call("execve", place, arguments, environment)),
            refuse(errno.ENOENT),
        ]

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


def _places(process: Process) -> list[str]:
    """Return where a program may be, in order, as execvp(3) looks for it."""
    name = process.args[0]
    if "/" in name:
        return [name]
    path = _variables(process).get("PATH", os.defpath)
    return [f"{folder or '.'}/{name}" for folder in path.split(":")] if name else []


def _at_each(places: list[str], mode: int, what: Callable[[str], Call]) -> list[Call]:
    """Return calls for each place that may be accessed so; to ask is cheaper than to try."""
    found = ((call("faccessat", AT_FDCWD, place, mode, unless={ANY: 1}), place) for place in places)
    return [each for asked, place in found for each in (asked, what(place))]


def _strings(texts: Iterable[str]) -> Operand:
    """Return what execve(2) takes: pointers to texts, then none."""
    return pointers((*(os.fsencode(text) + b"\0" for text in texts), None))


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
