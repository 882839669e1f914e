"""The launcher: a small single-threaded process that clones containers for threaded ones.

A Jupyter kernel has many threads, and Python that runs on after a raw clone in a threaded process
can deadlock; unshare(CLONE_NEWUSER) there is refused outright. So a library user sends the spec
here, over a Unix socket, with three descriptors for standard input, output and error.

One connection is one container: the connection's end ends the container, and the launcher's end
(its standard input closes when the user's process dies) ends them all. Messages are JSON, one per
packet (unix(7), SOCK_SEQPACKET):

    → {"spec": …} + 3 descriptors
    ← {"started": {"pid", "cloned", "trace"}} + pidfd, or {"error": [tried, answer, cause, remedy]}
    → {"signal": N}                                       (any number of times)
    ← {"exited": code}                                    when its first process has ended
    ← {"undone": null or [tried, answer, cause, remedy]}  when everything is undone
"""

from __future__ import annotations

import array
import gc
import json
import os
import selectors
import signal
import socket
from typing import Any

from labrt import container, removal
from labrt.container import Running
from labrt.errors import LabError
from labrt.spec import Spec

MAX_MESSAGE = 1 << 18


def send(connection: socket.socket, message: dict[str, Any], fds: tuple[int, ...] = ()) -> None:
    """Send one message with descriptors (SCM_RIGHTS)."""
    rights = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", fds))] if fds else []
    connection.sendmsg([json.dumps(message, default=vars).encode()], rights)


def receive(connection: socket.socket) -> tuple[dict[str, Any] | None, list[int]]:
    """Return the next message (None at the end) and the descriptors that came with it."""
    fds = array.array("i")
    data, ancillary, _flags, _address = connection.recvmsg(
        MAX_MESSAGE, socket.CMSG_SPACE(8 * fds.itemsize), socket.MSG_CMSG_CLOEXEC
    )
    for _level, kind, rights in ancillary:
        if kind == socket.SCM_RIGHTS:
            fds.frombytes(rights[: len(rights) - len(rights) % fds.itemsize])
    return (json.loads(data) if data else None), list(fds)


class Served:
    """One connection and, once started, its container."""

    def __init__(self, connection: socket.socket) -> None:
        self.connection = connection
        self.running: Running | None = None

    def start(self, message: dict[str, Any], stdio: list[int]) -> None:
        """Start the container that the message declares; tell the other side how it went."""
        try:
            spec = Spec.from_json(message["spec"])
            self.running = container.start(spec, (stdio[0], stdio[1], stdio[2]))
        except LabError as error:
            send(self.connection, {"error": error.args, "errno": getattr(error, "errno", 0)})
            return
        finally:
            for fd in stdio:
                os.close(fd)
        started = {
            "pid": self.running.pid,
            "cloned": self.running.cloned,
            "trace": self.running.trace,
        }
        send(self.connection, {"started": started}, (self.running.context.pidfd,))

    def finish(self) -> None:
        """End the container where it still runs, tell its exit code, undo it, tell that too."""
        if self.running is None:
            return
        running, self.running = self.running, None
        if running.wait(0) is None:
            running.signal(signal.SIGKILL)
        self._tell({"exited": running.wait()})
        try:
            running.finish()
            self._tell({"undone": None})
        except LabError as error:
            self._tell({"undone": error.args})

    def _tell(self, message: dict[str, Any]) -> None:
        try:
            send(self.connection, message)
        except BrokenPipeError:
            pass  # the other side hung up, which is how it asks for the end


class Launcher:
    """The event loop: new connections, messages and ended containers, each as an event."""

    def __init__(self, listener: socket.socket, lifeline: int) -> None:
        self.selector = selectors.DefaultSelector()
        self.listener = listener
        self.lifeline = lifeline
        self.serving: list[Served] = []

    def run(self) -> None:
        """Serve until the lifeline closes or SIGTERM comes; then end every container."""
        self.selector.register(self.listener, selectors.EVENT_READ, self._accept)
        self.selector.register(self.lifeline, selectors.EVENT_READ, None)
        self.selector.register(_sigterm_pipe(), selectors.EVENT_READ, None)
        self._serve()
        self._end_all()

    def _serve(self) -> None:
        while True:
            for key, _events in self.selector.select():
                if key.data is None:
                    return
                key.data()

    def _accept(self) -> None:
        connection, _address = self.listener.accept()
        served = Served(connection)
        self.serving.append(served)
        self.selector.register(connection, selectors.EVENT_READ, lambda: self._message(served))

    def _message(self, served: Served) -> None:
        try:
            message, fds = receive(served.connection)
        except ConnectionResetError:
            message, fds = None, []
        if message is None:
            return self._hang_up(served)
        if "spec" in message:
            served.start(message, fds)
            if served.running:
                pidfd = served.running.context.pidfd
                self.selector.register(pidfd, selectors.EVENT_READ, lambda: self._ended(served))
        elif "signal" in message and served.running:
            served.running.signal(message["signal"])

    def _ended(self, served: Served) -> None:
        if served.running:
            self.selector.unregister(served.running.context.pidfd)
            served.finish()

    def _hang_up(self, served: Served) -> None:
        if served.running:
            self.selector.unregister(served.running.context.pidfd)
            served.finish()
        self.selector.unregister(served.connection)
        served.connection.close()
        self.serving.remove(served)

    def _end_all(self) -> None:
        for served in list(self.serving):
            self._hang_up(served)


def _sigterm_pipe() -> int:
    """Return a descriptor that becomes readable when SIGTERM comes: an event like the others, so
    that it interrupts no step half-way."""
    reader, writer = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
    signal.set_wakeup_fd(writer, warn_on_full_buffer=False)
    signal.signal(signal.SIGTERM, lambda number, frame: None)
    return reader


def main() -> None:
    """Entry point: file descriptor 3 is the listening socket, 0 the lifeline."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the user's process's business
    removal.remove_dead()
    gc.freeze()  # what is loaded by now stays: the collector need not touch, and so copy, its pages
    with socket.socket(fileno=3) as listener:
        Launcher(listener, lifeline=0).run()
