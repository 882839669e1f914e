"""The launcher: a small single-threaded process that clones containers for others.

A Jupyter kernel has many threads, and Python that runs on after a raw clone in a threaded process
can deadlock; unshare(CLONE_NEWUSER) there is refused outright. And a detached container needs a
parent that stays. So others send what they want over a Unix socket, and the launcher does it.

There are two ways to have one. A *private* launcher belongs to one process (`client.py`) and ends
with it, for its standard input closes. The *shared* launcher, one for each user, is started with
the first detached container and ends when it has none left to care for.

Messages are JSON, one per packet (unix(7), SOCK_SEQPACKET). One connection, one request:

    → {"spec": …} + 3 descriptors            a container that ends with the connection
    → {"enter": folder, "process": …} + 3    one more process in a container: the same
    ← {"started": {"pid", "cloned", "times"}} + pidfd [+ terminal], or {"error": […]}
    → {"signal": N} (any number of times), {"kill": true}: all its processes
    ← {"exited": code, "oom_killed": …}                   when its first process has ended
    ← {"undone": null or [tried, answer, cause, remedy]}  when everything is undone

    → {"detached": folder}                   start a created container and look after it
    ← {"started": {"pid"}} or {"error": […]}
    → {"attach": folder}
    ← {"attached": …} [+ its input]          a pipe or its terminal's master, if it has one
    → {"end": true}                          end with all that is cared for; then hang up
"""

from __future__ import annotations

import array
import errno
import gc
import json
import os
import signal
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any

from labrt import cgroups, container, detached, namespaces, paths, removal, state, syscalls
from labrt.child import Child, readable
from labrt.cloning import OwnCloner
from labrt.container import Started
from labrt.detached import Detached
from labrt.errors import LabError
from labrt.loop import Loop
from labrt.spec import Process, Spec

# What does a request: it gets the message, and the descriptors that came with it.
Request = Callable[[dict[str, Any], list[int]], None]
MAX_MESSAGE = 1 << 18
IDLE_SECONDS = 3.0  # the shared launcher stays this long without a container


def send(connection: socket.socket, message: dict[str, Any], fds: tuple[int, ...] = ()) -> None:
    """Send one message with descriptors (SCM_RIGHTS).

    Raises:
        LabError: it is longer than a packet may be. OSError: the other side isn't there any more.
    """
    rights = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", fds))] if fds else []
    data = json.dumps(message, default=vars).encode()
    try:
        if len(data) >= MAX_MESSAGE:
            raise OSError(errno.EMSGSIZE, os.strerror(errno.EMSGSIZE))
        connection.sendmsg([data], rights)
    except OSError as error:
        if error.errno != errno.EMSGSIZE:
            raise
        told = f"what declares it is {len(data) >> 10} KiB long, more than one message takes"
        cause = "very long arguments, or a very large environment"
        raise LabError("hand it to the launcher", told, cause, "put them in a file") from None


def receive(connection: socket.socket) -> tuple[dict[str, Any] | None, list[int]]:
    """Return the next message (None at the end) and the descriptors that came with it."""
    fds = array.array("i")
    room = socket.CMSG_SPACE(8 * fds.itemsize)
    try:
        data, ancillary, *_ = connection.recvmsg(MAX_MESSAGE, room, socket.MSG_CMSG_CLOEXEC)
    except ConnectionResetError:  # it left without reading our last; its own last is still there
        data, ancillary, *_ = connection.recvmsg(MAX_MESSAGE, room, socket.MSG_CMSG_CLOEXEC)
    for _level, kind, rights in ancillary:
        if kind == socket.SCM_RIGHTS:
            fds.frombytes(rights[: len(rights) - len(rights) % fds.itemsize])
    return _read(data), list(fds)


def _read(data: bytes) -> dict[str, Any] | None:
    """Nonsense is as good as the end: whoever sends it knows nothing of all this."""
    try:
        message = json.loads(data or b"null")
    except ValueError:
        return None
    return message if isinstance(message, dict) and message else None


class Served:
    """One connection and, once started, its process."""

    def __init__(self, connection: socket.socket, launcher: Launcher) -> None:
        self.connection = connection
        self.launcher = launcher
        self.running: Child | None = None
        self.hung_up = False

    def message(self) -> None:
        """Take the next message, or the connection's end."""
        message, fds = receive(self.connection)
        try:
            if message is None:
                self.hang_up()
            else:
                self._answer(message, fds)
        finally:
            for fd in fds:
                os.close(fd)

    def _answer(self, message: dict[str, Any], fds: list[int]) -> None:
        try:
            (self.requests() | self._always())[next(iter(message))](message, fds)
        except LabError as error:
            self._refuse(error)
        except Exception as error:  # a fault in one request is not to end everybody's containers
            import traceback  # here: a small launcher clones fast

            traceback.print_exc()
            said = f"{type(error).__name__}: {error}"
            self._refuse(LabError("do what was asked", said, "a fault in the lab itself"))

    def requests(self) -> dict[str, Request]:
        """Return what can be asked for, by the message's first word."""
        return {
            "spec": self._start,
            "enter": self._enter,
            "detached": self._detached,
            "attach": self._attach,
        }

    def _always(self) -> dict[str, Request]:
        return {"signal": self._signal, "kill": self._kill, "end": self._end}

    def _signal(self, message: dict[str, Any], fds: list[int]) -> None:
        if self.running:
            self.running.signal(message["signal"])

    def _kill(self, message: dict[str, Any], fds: list[int]) -> None:
        if self.running:
            self.running.kill()

    def _end(self, message: dict[str, Any], fds: list[int]) -> None:
        self.launcher.loop.stop()

    def _refuse(self, error: LabError) -> None:
        told = {"errno": error.errno, "step_name": error.step_name}
        self._tell({"error": error.args, **told})

    def _start(self, message: dict[str, Any], fds: list[int]) -> None:
        spec = Spec.from_json(message["spec"])
        self._started(container.start(spec, (fds[0], fds[1], fds[2])))

    def _enter(self, message: dict[str, Any], fds: list[int]) -> None:
        process = Process.from_json(message["process"])
        self._started(container.enter(Path(message["enter"]), process, (fds[0], fds[1], fds[2])))

    def _started(self, running: Started) -> None:
        told = {
            "pid": running.pid,
            "cloned": running.context.cloned,
            "times": running.times.tolist(),
        }
        terminal = (running.master,) if running.master >= 0 else ()
        self.watch(running, told, (running.pidfd, *terminal))

    def watch(self, running: Child, told: dict[str, Any], fds: tuple[int, ...] = ()) -> None:
        """Tell of a process that has been started for this connection, and await its end."""
        self.running = running
        self.launcher.loop.watch(running.pidfd, self.finish)
        self._tell({"started": told}, fds)

    def _detached(self, message: dict[str, Any], fds: list[int]) -> None:
        self._tell({"started": {"pid": self.launcher.keep(Path(message["detached"]))}})

    def _attach(self, message: dict[str, Any], fds: list[int]) -> None:
        kept = self.launcher.kept.get(message["attach"])
        way = kept.input if kept else -1
        self._tell({"attached": kept is not None}, (way,) if way >= 0 else ())

    def finish(self) -> None:
        """The process has ended: tell its exit code, undo it, tell that too."""
        running, self.running = self.running, None
        assert running is not None, "only a running one is watched"
        self.launcher.loop.unwatch(running.pidfd)
        self._tell({"exited": running.wait(), "oom_killed": running.oom_killed()})
        os.sched_yield()  # who waits for it may be on this CPU: it goes first, to undo takes long
        try:
            running.finish()
            self._tell({"undone": None})
        except LabError as error:
            self._tell({"undone": error.args})
        if self.hung_up:
            self.launcher.drop(self)

    def hang_up(self) -> None:
        """The connection's end is the process's. It isn't waited for: the first process of a pid
        namespace can't end before all others in it are reaped, perhaps by this very launcher."""
        self.hung_up = True
        self.launcher.loop.unwatch(self.connection.fileno())
        self.connection.close()
        if self.running:
            self.running.kill()
        else:
            self.launcher.drop(self)

    def _tell(self, message: dict[str, Any], fds: tuple[int, ...] = ()) -> None:
        if self.hung_up:
            return
        try:
            send(self.connection, message, fds)
        except (BrokenPipeError, ConnectionResetError):
            pass  # the other side hung up, which is how it asks for the end


class Launcher:
    """New connections, messages, ended containers: each an event."""

    def __init__(self, listener: socket.socket, shared: bool, serve: type[Served] = Served) -> None:
        """`serve` is what a connection becomes."""
        self.loop = Loop()
        self.listener = listener
        self.shared = shared
        self.serve = serve
        self.serving: list[Served] = []
        self.kept: dict[str, Detached] = {}  # by the container's folder

    def run(self, lifeline: int = -1) -> None:
        """Serve until the lifeline closes, SIGTERM comes or, if shared, nothing is left to do; then
        end every container."""
        self.loop.watch(self.listener.fileno(), self._accept)
        ends = [_sigterm_pipe(), *([lifeline] if lifeline >= 0 else [])]
        for end in ends:
            self.loop.watch(end, self.loop.stop)
        if self.shared:
            self._take_over()
        self.end_when_idle()
        self.loop.run()
        for end in ends:  # they can be read from now on
            self.loop.unwatch(end)
        self._end_all()

    def _take_over(self) -> None:
        """Care for what a launcher that was killed has left."""
        removal.remove_dead()  # which notes the end of those that have ended since
        for folder in detached.awaited():
            self.kept[str(folder)] = Detached(folder, self.loop, self._forget)
            self.kept[str(folder)].restart_soon()
        for folder in detached.orphans():
            orphan = Detached(folder, self.loop, self._forget)
            try:
                orphan.adopt()
            except LabError:
                continue  # it has ended meanwhile
            self.kept[str(folder)] = orphan

    def _end_all(self) -> None:
        for kept in list(self.kept.values()):
            kept.end()
        for served in self.serving:
            if served.running:
                served.running.kill()
        while self.kept or any(served.running for served in self.serving):
            self.loop.once()
        if self.shared:
            shared_address().unlink(missing_ok=True)

    def keep(self, folder: Path) -> int:
        """Start a created container and look after it; return its host pid."""
        kept = Detached(folder, self.loop, self._forget)
        pid = kept.start()
        self.kept[str(folder)] = kept
        return pid

    def _forget(self, kept: Detached) -> None:
        if self.kept.get(str(kept.folder)) is kept:  # not where it was started anew by hand
            del self.kept[str(kept.folder)]
        self.end_when_idle()

    def _accept(self) -> None:
        connection, _address = self.listener.accept()
        served = self.serve(connection, self)
        self.serving.append(served)
        self.loop.watch(connection.fileno(), served.message)

    def drop(self, served: Served) -> None:
        """Nothing is left to do for a connection."""
        self.serving.remove(served)
        self.end_when_idle()

    def end_when_idle(self) -> None:
        if self.shared and not self.serving and not self.kept:
            self.loop.after(IDLE_SECONDS, self._end_if_idle)

    def _end_if_idle(self) -> None:
        """Nobody may connect between the last look and the end: who does holds the same lock."""
        if self.serving or self.kept:
            return
        lock = state.lock_file(shared_lock(), wait=False)
        if lock is None:
            return
        if readable(self.listener.fileno(), 0):  # it has come before we had the lock
            os.close(lock)
        else:  # kept until this process ends
            self.loop.stop()


def shared_address() -> Path:
    """Where the shared launcher of this user and LAB_HOME listens."""
    return paths.run_dir() / f"launcher{paths.lab_suffix()}"


def fork_server_address() -> Path:
    """Where this user's fork server of this very lab listens (forkserver.py; served.c works it out,
    too): each folder with a lab in it has its own."""
    return paths.run_dir() / f"forkserver-{os.stat(Path(__file__).parent.parent).st_ino}"


def shared_lock() -> Path:
    return Path(f"{shared_address()}.lock")


def _sigterm_pipe() -> int:
    """Return a descriptor that becomes readable when SIGTERM comes: an event like the others, so
    that it interrupts no step half-way."""
    reader, writer = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
    signal.set_wakeup_fd(writer, warn_on_full_buffer=False)
    signal.signal(signal.SIGTERM, lambda number, frame: None)
    return reader


def main(kind: str) -> None:
    """Entry point: file descriptor 3 is the listening socket; a private one's lifeline is 0.

    Args:
        kind: "private" or "shared".
    """
    shared = kind == "shared"
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the user's process's business
    syscalls.set_name("labrt-launcher")  # a sealed Python would be called after its descriptor
    removal.remove_dead()
    namespaces.clone_by(OwnCloner())
    gc.freeze()  # what is loaded by now stays: the collector need not touch, and so copy, its pages
    gc.set_threshold(20_000)  # nor look for garbage in the midst of each start
    with socket.socket(fileno=3) as listener:
        Launcher(listener, shared).run(-1 if shared else 0)
    cgroups.remove_top()
