"""When a process was born, as the kernel's process events tell it.

An engine's command line doesn't say when it cloned the container's first process, and the process's
start time in /proc counts in hundredths of a second. The kernel's connector tells of every fork
with the time in nanoseconds. Whoever listens from before the fork may read it later: the events
wait in the socket, and nothing runs meanwhile that would disturb what is measured.

Host side; for root in the host's own namespaces, with CONFIG_PROC_EVENTS.
Man page: netlink(7), NETLINK_CONNECTOR. Kernel documentation: driver-api/connector.rst; the layouts
are in linux/netlink.h, linux/connector.h and linux/cn_proc.h.
"""

from __future__ import annotations

import os
import socket
import struct

NETLINK_CONNECTOR = 11
NLMSG_DONE = 3
CN_IDX_PROC, CN_VAL_PROC = 1, 1
PROC_CN_MCAST_LISTEN, PROC_CN_MCAST_IGNORE = 1, 2
PROC_EVENT_FORK = 1

NLMSGHDR = struct.Struct("=IHHII")  # length, type, flags, sequence, port
CN_MSG = struct.Struct("=IIIIHH")  # idx, val, seq, ack, length, flags
FORK = struct.Struct("=IIQiiii")  # what, cpu, ns; parent's pid and tgid, child's pid and tgid
BUFFER = 4 * 2**20  # bytes: tens of thousands of events
SO_RCVBUFFORCE = 33  # asm-generic/socket.h: beyond net.core.rmem_max, with CAP_NET_ADMIN


class Births:
    """Listens from its making until `close`. Where the host doesn't tell, it knows no birth.

    Attributes:
        heard: whether the host tells: to root in its own network namespace, if its kernel can.
    """

    def __init__(self) -> None:
        self._socket: socket.socket | None = None
        try:
            self._socket = _listening()
        except OSError:
            pass  # ECONNREFUSED, EPERM, EPROTONOSUPPORT
        self.heard = self._socket is not None

    def of(self, pid: int) -> int | None:
        """Return when the process was forked, CLOCK_MONOTONIC ns; None if that wasn't heard."""
        born = None
        while (event := self._next()) is not None:
            if event[0] == pid:
                born = event[1]
        return born

    def _next(self) -> tuple[int, int] | None:
        """Return (pid, ns) of the next fork that waits to be read; None if there is none."""
        while self._socket is not None:
            try:
                data = self._socket.recv(4096)
            except OSError:  # nothing waits; ENOBUFS: some were lost
                return None
            if len(data) < NLMSGHDR.size + CN_MSG.size + FORK.size:
                continue
            what, _, at, _, _, child, _ = FORK.unpack_from(data, NLMSGHDR.size + CN_MSG.size)
            if what == PROC_EVENT_FORK:
                return child, at
        return None

    def close(self) -> None:
        """Listen no more. May be called again."""
        if self._socket is not None:
            _ask(self._socket, PROC_CN_MCAST_IGNORE)
            self._socket.close()
            self._socket = None


def _listening() -> socket.socket:
    way = socket.socket(
        socket.AF_NETLINK, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK, NETLINK_CONNECTOR
    )
    try:
        way.setsockopt(socket.SOL_SOCKET, SO_RCVBUFFORCE, BUFFER)
        way.bind((0, CN_IDX_PROC))
        _ask(way, PROC_CN_MCAST_LISTEN)
    except BaseException:
        way.close()
        raise
    return way


def _ask(way: socket.socket, operation: int) -> None:
    payload = struct.pack("=I", operation)
    message = CN_MSG.pack(CN_IDX_PROC, CN_VAL_PROC, 0, 0, len(payload), 0) + payload
    header = NLMSGHDR.pack(NLMSGHDR.size + len(message), NLMSG_DONE, 0, 0, os.getpid())
    way.send(header + message)
