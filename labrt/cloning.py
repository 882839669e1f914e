"""Cloning: the way to who makes containers' first processes in this process's stead (clone.c).

Host side. A launcher has a process for it, its cloner (cloner.c): clone3(2) of a Python process
copies the page tables of all its memory, and execve(2) in the child takes them down again, a
millisecond that a container spends on being nobody yet. The cloner is so small that it costs a
tenth of that. And who does a command in another's stead (forkserver.py) asks that other, whose
descendant the container is to be.
"""

from __future__ import annotations

import array
import os
import socket
import struct
from pathlib import Path

from labrt.calls import Program
from labrt.errors import LabError
from labrt.sealed import sealed_copy
from labrt.syscalls import CLONE_PARENT

PROGRAM = Path(__file__).parent.parent / ".venv" / "lib" / "labrt-cloner"

# struct request and struct answer of clone.c
_REQUEST = struct.Struct("=QiiIxxxx")
_ANSWER = struct.Struct("=ii")
_MOST_DESCRIPTORS, _MESSAGE = 64, 1 << 17


class Cloner:
    """Who clones for this process, at the other end of a socket."""

    flags = 0  # of clone3(2), beside those of the namespaces

    def way(self) -> socket.socket:
        """Return the socket."""
        raise NotImplementedError

    def clone(
        self, flags: int, cgroup: int, report: int, program: Program | None
    ) -> tuple[int, int] | None:
        """Have it clone a child that performs the program.

        Args:
            flags: of clone3(2).
            cgroup: descriptor of the v2 cgroup folder that the child is born in, or -1.
            report: descriptor by which the child is to report.
            program: None where what the child does is none.

        Returns:
            Its pid and pidfd; None where it can't be done so, but by this process itself.

        Raises:
            OSError: the kernel's answer to clone3(2). LabError: who clones was killed.
        """
        if program is None or not _fits(program):
            return None
        born = [cgroup] if cgroup >= 0 else []
        fds = array.array("i", dict.fromkeys([report, *program.descriptors, *born]))
        head = _REQUEST.pack(flags | self.flags, report, cgroup, len(fds))
        padding = bytes(fds.itemsize * (len(fds) % 2))
        rights = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, fds)]
        way = self.way()
        try:
            way.sendmsg([head, fds, padding, program.code], rights)
            return _answer(way)
        except (BrokenPipeError, ConnectionResetError):
            raise _killed() from None


class OwnCloner(Cloner):
    """A process of this one's, started when first needed, and again where it was killed. It ends
    with this process, for its socket does; and what it makes is this process's child."""

    flags = CLONE_PARENT

    def __init__(self) -> None:
        self.pid = 0
        self._way: socket.socket | None = None

    def way(self) -> socket.socket:
        if self._way and os.waitpid(self.pid, os.WNOHANG) == (0, 0):
            return self._way
        self._way, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        program = sealed_copy(PROGRAM)
        try:
            self.pid = _spawn(program, theirs)
        except OSError:
            self._way = None
            raise
        finally:
            os.close(program)
            theirs.close()
        return self._way


class CallersCloner(Cloner):
    """The process in whose stead a command is done (served.c)."""

    def __init__(self, way: int) -> None:
        self._way = socket.socket(fileno=way)

    def way(self) -> socket.socket:
        return self._way

    def clone(
        self, flags: int, cgroup: int, report: int, program: Program | None
    ) -> tuple[int, int] | None:
        """As `Cloner.clone`, but nobody else may.

        Raises:
            MustBeItself: it can't be done by asking; the caller knows.
        """
        if made := super().clone(flags, cgroup, report, program):
            return made
        self._way.send(b"no")
        raise MustBeItself


class MustBeItself(Exception):
    """A command that its caller must do itself."""


def _fits(program: Program) -> bool:
    """Whether it isn't too large for one message."""
    few = len(program.descriptors) + 2 <= _MOST_DESCRIPTORS
    return few and len(program.code) < _MESSAGE - 1024


def _spawn(program: int, way: socket.socket) -> int:
    given = [(os.POSIX_SPAWN_DUP2, way.fileno(), 3)]
    return os.posix_spawn(f"/proc/self/fd/{program}", ["labrt-cloner"], {}, file_actions=given)


def _answer(way: socket.socket) -> tuple[int, int]:
    given = array.array("i")
    room = socket.CMSG_SPACE(given.itemsize)
    told, ancillary, *_ = way.recvmsg(_ANSWER.size, room, socket.MSG_CMSG_CLOEXEC)
    if len(told) < _ANSWER.size:
        raise _killed()
    pid, number = _ANSWER.unpack(told)
    if number:
        raise OSError(number, os.strerror(number))
    given.frombytes(ancillary[0][2])
    return pid, given[0]


def _killed() -> LabError:
    return LabError(
        "clone the container's first process",
        "the launcher's cloner was killed",
        "out of memory, or somebody's kill",
        "try again: the next one has another",
    )
