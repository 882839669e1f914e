"""The fork server: does commands in others' stead, so that none waits for Python to start.

Most of what `labrt run` takes is Python reading its modules. A process that has read them all has a
child ready (`stand_in.py`), which does a command: with the caller's words, environment, folder,
umask and standard streams (`caller.py`), and with nothing else of the caller's, which therefore
must be like the server itself (`inherited.py`). The programs `labrt` and `labrt-oci` (entry.c,
served.c) ask it where it runs, pass on signals, and end as the child ends. What it refuses, they do
themselves in a Python of their own: with it a command is quicker, never another.

It is a launcher (`launcher.py`) that knows one request:

    → {"command": session keyring} + 3 descriptors    its words are read from /proc;
                                                      a fourth is a way to have it clone
    ← {"started": {"pid"}} or {"error": […]}
    → {"signal": N} (any number of times)
    ← {"exited": code, …}

Man pages: fork(2), proc(5), unix(7) on SO_PEERCRED.
"""

from __future__ import annotations

import gc
import os
import signal
import socket
import struct
import sys
from collections.abc import Sequence
from importlib import import_module
from pathlib import Path
from typing import Any

from labrt import cli, launcher, syscalls
from labrt.caller import Caller
from labrt.child import readable
from labrt.declare import declare
from labrt.errors import LabError, errno_text
from labrt.images import store
from labrt.launcher import Request
from labrt.perform import program
from labrt.recipe import recipe
from labrt.seccomp import CompileSeccomp
from labrt.stand_in import StandIn
from labrt.step import Context


class ForkServer(launcher.Launcher):
    """A launcher that always has a stand-in ready."""

    def __init__(self, listener: socket.socket) -> None:
        super().__init__(listener, shared=False, serve=Served)
        self._changes = _watch_files()
        self._ready: StandIn | None = None
        self.prepare()

    def prepare(self) -> None:
        """Have a stand-in ready."""
        try:
            self._ready = self._ready or StandIn(_work_out)
        except OSError:
            pass  # no room for one now; the next command tries again

    def run(self, lifeline: int = -1) -> None:
        super().run(lifeline)
        if self._ready:
            self._ready.kill()
            self._ready.wait()
            self._ready.finish()

    def refuse_if_changed(self) -> None:
        """Who changes the lab's code wants to see what it does.

        Raises:
            LabError: one of its files has been written since the server began.
        """
        if readable(self._changes, 0):
            raise LabError(
                "do a command", "the lab's files have changed", remedy="labrt forkserver"
            )

    def hand(self, caller: Caller, fds: Sequence[int]) -> StandIn:
        """Have a command done; return who does it.

        Raises:
            OSError: there is no room for one more process.
        """
        ready, self._ready = self._ready, None
        self.loop.after(0, self.prepare)
        if ready and ready.wait(0) is None:
            ready.hand(caller, fds)
            return ready
        if ready:  # it was killed
            ready.finish()
        another = StandIn(_work_out)
        another.hand(caller, fds)
        return another


class Served(launcher.Served):
    """One connection, for one command."""

    launcher: ForkServer

    def requests(self) -> dict[str, Request]:
        return {"command": self._command}

    def _command(self, message: dict[str, Any], fds: list[int]) -> None:
        try:
            caller = Caller(_peer(self.connection))
            caller.face(clones=len(fds) > 3)
            self.launcher.refuse_if_changed()
            caller.refuse_unlike(message["command"])
            stand_in = self.launcher.hand(caller, fds)
        except OSError as error:
            raise LabError("do it in the caller's stead", errno_text(error)) from None
        self.watch(stand_in, {"pid": stand_in.pid})


def _peer(connection: socket.socket) -> int:
    size = struct.calcsize("3i")
    pid, uid, _ = struct.unpack(
        "3i", connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, size)
    )
    if uid != os.geteuid():
        raise LabError("do a command", f"uid {uid} asks, this is uid {os.geteuid()}")
    return int(pid)


def _watch_files() -> int:
    """Return a descriptor that can be read once one of the lab's files has been written: those that
    were read already are looked at, the others watched (inotify(7))."""
    begun = os.stat(launcher.fork_server_address()).st_mtime
    ours = (module for name, module in list(sys.modules.items()) if name.split(".")[0] == "labrt")
    files = [module.__file__ for module in ours if module.__file__]
    changes = syscalls.inotify_init()
    for folder in {os.path.dirname(file) for file in files}:
        syscalls.inotify_add_watch(changes, folder, syscalls.IN_ANY_CHANGE)
    if any(os.stat(file).st_mtime > begun for file in files):
        os.close(changes)
        return os.open(os.devnull, os.O_RDONLY | os.O_CLOEXEC)
    return changes


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
        ForkServer(listener).run()
