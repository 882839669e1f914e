"""A terminal for the container: a pseudoterminal of its own devpts (pty(7)).

The child opens it, for only there can it be the container's own; the master travels to the host
over a socket (SCM_RIGHTS in unix(7)). Whoever holds the master is the person at the keyboard.
"""

from __future__ import annotations

import array
import fcntl
import os
import socket
import struct
import termios
from typing import ClassVar

from labrt import syscalls
from labrt.mount_points import mount_point
from labrt.step import Context, Step

_TIOCSPTLCK = 0x40045431  # ioctl_tty(2); Python's termios has no name for these two
_TIOCGPTN = 0x80045430


class PrepareTerminal(Step):
    side: ClassVar = "host"
    man: ClassVar = "socketpair(2)"
    reason: ClassVar = "the way by which the terminal's master end comes out of the container"
    vital: ClassVar = "its terminal would have no way out"

    def describe(self) -> str:
        return "socketpair(AF_UNIX, SOCK_STREAM)"

    def do(self, context: Context) -> None:
        host, child = socket.socketpair()
        context.console = (host.detach(), child.detach())

    def undo(self, context: Context) -> None:
        for fd in context.console:
            os.close(fd)
        context.console = ()


class OpenTerminal(Step):
    side: ClassVar = "container"
    man: ClassVar = "pts(4)"
    reason: ClassVar = "shells and editors want a terminal that controls their session"
    vital: ClassVar = "the host would wait for its terminal for ever"

    def describe(self) -> str:
        return "open /dev/pts/ptmx, send it to the host, TIOCSCTTY on its other end"

    def __init__(self, size: tuple[int, int] = (0, 0)) -> None:
        """`size`: rows and columns, (0, 0) to leave them."""
        self.size = size

    def do(self, context: Context) -> None:
        slave = context.terminal
        if slave < 0:
            master, slave, _path = _opened()
            _send(context.console[1], master)
        fcntl.ioctl(slave, termios.TIOCSCTTY, 0)
        if any(self.size):
            fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("4H", *self.size, 0, 0))
        context.stdio = (slave, slave, slave)


class BindConsole(Step):
    """A bundle's terminal, opened while the child may still mount; `OpenTerminal` takes it."""

    side: ClassVar = "container"
    man: ClassVar = "console(4)"
    reason: ClassVar = "/dev/console is the container's terminal, whatever /dev is"

    def __init__(self, uid: int) -> None:
        """`uid`: whose it is to be, as the container numbers its users."""
        self.uid = uid

    def describe(self) -> str:
        return f"open /dev/pts/ptmx, give its other end to {self.uid}, bind that on /dev/console"

    def do(self, context: Context) -> None:
        master, slave, path = _opened()
        _send(context.console[1], master)
        os.close(master)
        os.fchown(slave, self.uid, -1)
        node = syscalls.open_tree(path, False)
        target = mount_point(context, "/dev/console", folder=False)
        syscalls.move_mount(node, target)
        os.close(node)
        os.close(target)
        context.terminal = slave


def _opened() -> tuple[int, int, str]:
    """Open a terminal of the container's devpts; return master, slave and the latter's path."""
    master = os.open("/dev/pts/ptmx", os.O_RDWR | os.O_NOCTTY | os.O_CLOEXEC)
    fcntl.ioctl(master, _TIOCSPTLCK, struct.pack("i", 0))
    (number,) = struct.unpack("i", fcntl.ioctl(master, _TIOCGPTN, b"\0" * 4))
    path = f"/dev/pts/{number}"
    return master, os.open(path, os.O_RDWR | os.O_NOCTTY | os.O_CLOEXEC), path


def _send(fd: int, sent: int) -> None:
    with socket.socket(fileno=os.dup(fd)) as way:
        rights = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", [sent]))]
        way.sendmsg([b"master"], rights)


def master(context: Context) -> int:
    """Host side: take the terminal's master end, which the child has sent; -1 if there is none."""
    if not context.console:
        return -1
    with socket.socket(fileno=os.dup(context.console[0])) as way:
        _data, fds, _flags, _address = socket.recv_fds(way, 6, 1, socket.MSG_CMSG_CLOEXEC)
    return fds[0]


def copy_size(source: int, target: int) -> None:
    """Give the terminal `target` the window size of `source` (TIOCSWINSZ(2const))."""
    size = fcntl.ioctl(source, termios.TIOCGWINSZ, b"\0" * 8)
    fcntl.ioctl(target, termios.TIOCSWINSZ, size)
