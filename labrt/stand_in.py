"""A stand-in: a process, forked ahead, that does one command in its caller's stead (forkserver.py).

fork(2) of a process that has read all modules takes as long as a short command does, and what runs
first in the child pays for the pages that it then has in common with its parent. So one child is
ready before the command comes, and has been through the like of it once.

Man pages: fork(2), unix(7), F_DUPFD(2const).
"""

from __future__ import annotations

import atexit
import fcntl
import os
import signal
import socket
import sys
import traceback
from collections.abc import Callable, Sequence
from typing import Any, NoReturn

from labrt import inherited, launcher, namespaces, syscalls
from labrt.caller import Caller
from labrt.child import Child
from labrt.cloning import CallersCloner, MustBeItself

_KEPT_BY_GLIBC = (32, 33)  # signal(7): for its threads


class StandIn(Child):
    """One that waits for its command, or does it."""

    def __init__(self, rehearse: Callable[[], None]) -> None:
        """`rehearse`: what it does meanwhile."""
        self._way, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        # Or who asks a child to end that has the server's answer to SIGTERM yet would not be heard.
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})
        try:
            self.pid = os.fork()
            if self.pid == 0:
                _wait(theirs, rehearse)
        finally:
            signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGTERM})
            theirs.close()
        self._pidfd = os.pidfd_open(self.pid)

    @property
    def pidfd(self) -> int:
        return self._pidfd

    def kill(self) -> None:
        """Ask it to end, for its caller has gone: it undoes what it has made."""
        self.signal(signal.SIGTERM)

    def hand(self, caller: Caller, fds: Sequence[int]) -> None:
        """Give it its command.

        Args:
            fds: the caller's standard streams and, where it clones when asked, the way to it.

        Raises:
            OSError: it has ended.
        """
        launcher.send(self._way, {"caller": caller.told()}, tuple(fds))

    def finish(self) -> None:
        self._way.close()
        super().finish()


_WAY = 3  # in the child: to the server, then to have the caller clone


def _wait(way: socket.socket, rehearse: Callable[[], None]) -> NoReturn:
    """In the child: be ready, do what is handed over, end."""
    status = 1
    try:
        _be_apart(way)
        rehearse()
        with socket.socket(fileno=_WAY) as server:
            message, fds = launcher.receive(server)
        if message is not None:  # or the server has ended
            status = _do(Caller.of(message["caller"]), fds)
    except MustBeItself:
        pass  # it knows
    except BaseException:  # a fault in the lab itself; Python would tell it, too
        traceback.print_exc()
    finally:
        atexit._run_exitfuncs()
        os._exit(status)


def _be_apart(way: socket.socket) -> None:
    """Have nothing of the server's: neither its connections nor its signals nor its session."""
    syscalls.set_name("labrt-stand-in")
    os.setsid()
    signal.set_wakeup_fd(-1)
    for number in signal.valid_signals() - {signal.SIGKILL, signal.SIGSTOP, *_KEPT_BY_GLIBC}:
        signal.signal(number, _AS_PYTHON.get(number, signal.SIG_DFL))
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGTERM})
    syscalls.prctl(syscalls.PR_SET_PDEATHSIG, signal.SIGTERM)
    os.dup2(way.fileno(), _WAY, inheritable=False)
    os.closerange(_WAY + 1, 2**31 - 1)


# What a Python does that has just been started.
_AS_PYTHON: dict[int, Any] = {
    signal.SIGPIPE: signal.SIG_IGN,
    signal.SIGXFSZ: signal.SIG_IGN,
    signal.SIGINT: signal.default_int_handler,
}


def _do(caller: Caller, fds: Sequence[int]) -> int:
    """Be the caller, do its command; return the exit status."""
    face = caller.face(clones=len(fds) > _WAY)
    _become(caller, fds)
    if face.leaves_process(caller.words):
        namespaces.clone_by(CallersCloner(_WAY))
    status: int = face.main(caller.words)
    if sys.stdout is not None:  # nobody reads on (cli.py)
        sys.stdout.flush()
    return status


def _become(caller: Caller, fds: Sequence[int]) -> None:
    for number in caller.ignored:
        signal.signal(number, signal.SIG_IGN)
    signal.pthread_sigmask(signal.SIG_SETMASK, caller.blocked)
    for name in caller.takes_on:
        inherited.TAKE_ON[name](caller.pid)
    syscalls.set_name(caller.program.name)
    os.chdir(f"/proc/{caller.pid}/cwd")
    os.umask(caller.umask)
    os.environ.clear()
    os.environ.update(caller.environment)
    _take_streams(fds)


def _take_streams(fds: Sequence[int]) -> None:
    for number, fd in enumerate([fcntl.fcntl(fd, fcntl.F_DUPFD, len(fds)) for fd in fds]):
        os.dup2(fd, number, inheritable=number < _WAY)
    os.closerange(len(fds), 2**31 - 1)
    line_by_line = 1 if os.isatty(1) else -1
    sys.stdin = open(0, errors="surrogateescape")  # noqa: SIM115 (they stay open)
    sys.stdout = open(1, "w", line_by_line, errors="surrogateescape")  # noqa: SIM115
    sys.stderr = open(2, "w", 1, errors="backslashreplace")  # noqa: SIM115
    # As Python itself keeps them: one that was given up isn't to be flushed once more.
    vars(sys).update(__stdin__=sys.stdin, __stdout__=sys.stdout, __stderr__=sys.stderr)
