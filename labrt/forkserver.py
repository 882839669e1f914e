"""The fork server: does commands in others' stead, so that none waits for Python to start.

Most of what `labrt run` takes is Python reading its modules. A process that has read them all forks
when a command is called, and the child does it: with the caller's words, environment, folder, umask
and standard streams, and with nothing else of the caller's, which therefore must be like the server
itself (`inherited.py`). The programs `labrt` and `labrt-oci` (entry.c, served.c) ask it where it
runs, pass on signals, and end as the child ends. What it refuses, they do themselves in a Python of
their own: with it a command is quicker, never another.

It is a launcher (`launcher.py`) that knows one request:

    → {"command": session keyring} + 3 descriptors    its words are read from /proc;
                                                      a fourth is a way to have it clone
    ← {"started": {"pid"}} or {"error": […]}
    → {"signal": N} (any number of times)
    ← {"exited": code, …}

Man pages: fork(2), proc(5), unix(7) on SO_PEERCRED.
"""

from __future__ import annotations

import atexit
import fcntl
import gc
import os
import signal
import socket
import struct
import sys
import traceback
from collections.abc import Callable, Sequence
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Any, NoReturn

import labrt.oci.__main__ as oci
from labrt import cli, inherited, launcher, namespaces, paths, syscalls
from labrt.child import Child
from labrt.cloning import CallersCloner, MustBeItself
from labrt.declare import declare
from labrt.errors import LabError
from labrt.images import store
from labrt.perform import program
from labrt.recipe import recipe
from labrt.seccomp import CompileSeccomp
from labrt.step import Context

PROGRAMS = Path(__file__).parent.parent / ".venv/bin"
FACES: dict[str, ModuleType] = {"labrt": cli, "labrt-oci": oci}  # what each program calls
_KEPT_BY_GLIBC = (32, 33)  # signal(7): for its threads


class Command(Child):
    """One that is being done."""

    def __init__(self, pid: int) -> None:
        self._pidfd = os.pidfd_open(pid)

    @property
    def pidfd(self) -> int:
        return self._pidfd

    def kill(self) -> None:
        """Ask it to end, for its caller has gone: it undoes what it has made."""
        self.signal(signal.SIGTERM)


class Caller:
    """The process whose command it is, as /proc tells.

    Raises:
        OSError: it has ended, or this user may not look.
    """

    def __init__(self, pid: int) -> None:
        folder = Path(f"/proc/{pid}")
        self.pid = pid
        program, *self.words = _texts(folder / "cmdline")
        executed = os.readlink(folder / "exe")
        # The sealed copy that clones (entry.c) has no place of its own.
        self.program = Path(program if executed.startswith("/memfd:") else executed)
        self.environment = dict(
            text.split("=", 1) for text in _texts(folder / "environ") if "=" in text
        )
        status = inherited.status(pid)
        self.umask = int(status["Umask"], 8)
        self.ignored = _signals(status["SigIgn"])
        self.blocked = _signals(status["SigBlk"])
        self.takes_on: list[Callable[[int], None]] = []

    def refuse_unlike(self, keyring: int) -> None:
        """Refuse where a child of this process would differ from one of the caller's, in what it
        can't take on (`takes_on`).

        Raises:
            LabError: it would.
            OSError: it has ended.
        """
        unlike = inherited.differences(self.pid)
        able = inherited.TAKE_ON if paths.is_hosts_root() else {}
        self.takes_on = [able[name] for name in unlike if name in able]
        unlike = [name for name in unlike if name not in able]
        if keyring != syscalls.session_keyring():
            unlike.append("session keyring")
        if "LISTEN_FDS" in self.environment:
            unlike.append("descriptors (LISTEN_FDS)")
        if unlike:
            raise LabError("do it in its stead", f"of its own it has {', '.join(unlike)}")

    def face(self, clones: bool) -> ModuleType:
        """Return the module whose `main` it would call.

        Args:
            clones: whether it will clone when asked (cloning.py).

        Raises:
            LabError: it is none of the lab's programs, or must do this command itself.
        """
        face = FACES.get(self.program.name)
        if face is None or self.program.parent != PROGRAMS:
            raise LabError(f"do the work of {self.program}", "it is no program of this lab")
        left = face.leaves_process(self.words) and not clones
        if left or face.needs_own_process(self.words):
            raise LabError(f"do {self.words[0]} in its stead", "it must do that itself")
        return face


def _texts(file: Path) -> list[str]:
    return [os.fsdecode(part) for part in file.read_bytes().split(b"\0")[:-1]]


def _signals(mask: str) -> set[int]:
    bits = int(mask, 16)
    return {number for number in range(1, signal.NSIG) if bits >> (number - 1) & 1}


class Served(launcher.Served):
    """One connection, for one command."""

    def requests(self) -> dict[str, launcher.Request]:
        return {"command": self._command}

    def _command(self, message: dict[str, Any], fds: list[int]) -> None:
        try:
            caller = Caller(_peer(self.connection))
            face = caller.face(clones=len(fds) > 3)
            _refuse_if_changed()  # after what is refused sooner
            caller.refuse_unlike(message["command"])
        except OSError as error:
            raise LabError("look at the caller", os.strerror(error.errno or 0)) from None
        pid = os.fork()
        if pid == 0:
            _stand_in(caller, face, fds)
        self.watch(Command(pid), {"pid": pid})


def _peer(connection: socket.socket) -> int:
    size = struct.calcsize("3i")
    pid, uid, _ = struct.unpack(
        "3i", connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, size)
    )
    if uid != os.geteuid():
        raise LabError("do a command", f"uid {uid} asks, this is uid {os.geteuid()}")
    return int(pid)


def _stand_in(caller: Caller, face: ModuleType, fds: Sequence[int]) -> NoReturn:
    """In the child: be the caller, do its command, end."""
    status = 1
    try:
        _become(caller, fds)
        if face.leaves_process(caller.words):
            namespaces.clone_by(CallersCloner(_CLONING))
        status = face.main(caller.words)
        if sys.stdout is not None:  # nobody reads on (cli.py)
            sys.stdout.flush()
    except MustBeItself:
        pass  # it knows
    except BaseException:  # a fault in the lab itself; Python would tell it, too
        traceback.print_exc()
    finally:
        atexit._run_exitfuncs()
        os._exit(status)


_CLONING = 3  # in the child, the way to have the caller clone


def _become(caller: Caller, fds: Sequence[int]) -> None:
    _take_signals(caller)
    for take_on in caller.takes_on:
        take_on(caller.pid)
    os.setsid()
    syscalls.prctl(syscalls.PR_SET_PDEATHSIG, signal.SIGTERM)
    syscalls.set_name(caller.program.name)
    os.chdir(f"/proc/{caller.pid}/cwd")
    os.umask(caller.umask)
    os.environ.clear()
    os.environ.update(caller.environment)
    for number, fd in enumerate([fcntl.fcntl(fd, fcntl.F_DUPFD, 4) for fd in fds]):
        os.dup2(fd, number, inheritable=number < _CLONING)
    os.closerange(len(fds), 2**31 - 1)  # the server's own: connections, other commands
    line_by_line = 1 if os.isatty(1) else -1
    sys.stdin = open(0, errors="surrogateescape")  # noqa: SIM115 (they stay open)
    sys.stdout = open(1, "w", line_by_line, errors="surrogateescape")  # noqa: SIM115
    sys.stderr = open(2, "w", 1, errors="backslashreplace")  # noqa: SIM115
    # As Python itself keeps them: one that was given up isn't to be flushed once more.
    vars(sys).update(__stdin__=sys.stdin, __stdout__=sys.stdout, __stderr__=sys.stderr)


def _take_signals(caller: Caller) -> None:
    """As a Python has them that the caller has just become."""
    signal.set_wakeup_fd(-1)
    for number in signal.valid_signals() - {signal.SIGKILL, signal.SIGSTOP, *_KEPT_BY_GLIBC}:
        handler: Any = signal.SIG_DFL
        if number in caller.ignored or number in (signal.SIGPIPE, signal.SIGXFSZ):
            handler = signal.SIG_IGN
        elif number == signal.SIGINT:
            handler = signal.default_int_handler
        signal.signal(number, handler)
    signal.pthread_sigmask(signal.SIG_SETMASK, caller.blocked)


def _refuse_if_changed() -> None:
    """Who changes the lab's code wants to see what it does.

    Raises:
        LabError: the file of a module is newer than the server.
    """
    begun = os.stat(launcher.fork_server_address()).st_mtime
    ours = (module for name, module in list(sys.modules.items()) if name.split(".")[0] == "labrt")
    if any(os.stat(module.__file__).st_mtime > begun for module in ours if module.__file__):
        raise LabError("do a command", "the lab's files have changed", remedy="labrt forkserver")


def _read_modules() -> None:
    for package in ("labrt", "labrt.images", "labrt.bundle", "labrt.commands", "labrt.oci.verbs"):
        for file in Path(import_module(package).__path__[0]).glob("[a-z]*.py"):
            import_module(f"{package}.{file.stem}")


def _work_out() -> None:
    """Work out now what each command would anew, and is the same for all: how its words are read,
    what cgroups the host has, the filter's program, the calls of steps that are always the same."""
    for command in cli.names():
        cli.parser(command)
    for image in store.names()[:1]:
        spec = declare(store.resolve(image), ["true"])
        context = Context(spec)
        for step in (steps := recipe(spec)):
            if isinstance(step, CompileSeccomp):
                step.do(context)
        program([step for step in steps if step.side == "container"], context)


def main(kind: str) -> None:
    """Entry point: file descriptor 3 is the listening socket; there is one kind."""
    _read_modules()
    _work_out()
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    syscalls.set_name("labrt-forks")
    gc.freeze()
    with socket.socket(fileno=3) as listener:
        launcher.Launcher(listener, shared=False, serve=Served).run()
