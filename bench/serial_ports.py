"""The host's ends of a guest's serial ports: Unix sockets that QEMU connects to.

QEMU connects while it starts, before the guest runs its first instruction, so no output is lost and
nobody has to poll for a socket to appear. Host side.

Man pages: unix(7).
"""

from __future__ import annotations

import os
import socket
import struct
from pathlib import Path

from bench.marks import PREFIX, MarkReader
from bench.subjects.base import InstanceFailed
from labrt.errors import LabError

PATH_MAX = 107  # bytes, sun_path without its NUL


class SerialPorts:
    """The console and the standard input and output of one guest.

    Args:
        folder: an empty folder of the instance's own; the sockets are made in it.
        owner: uid and gid of the process that may connect.
    """

    def __init__(self, folder: Path, owner: tuple[int, int]) -> None:
        self.console_path = folder / "console"
        self.stdio_path = folder / "stdio"
        self._listening: list[socket.socket] = []
        self._readers: list[MarkReader] = []
        try:
            for path in (self.console_path, self.stdio_path):
                self._listening.append(_listen(path, owner))
        except BaseException:
            self.close()
            raise

    def accept(self, timeout: float) -> int:
        """Take QEMU's two connections, begin to read the marks, and return QEMU's pid.

        Raises:
            InstanceFailed: it didn't connect in time.
        """
        pid = 0
        for listening, prefix in zip(self._listening, (None, PREFIX), strict=True):
            listening.settimeout(timeout)
            try:
                connection, _ = listening.accept()
            except TimeoutError:
                raise InstanceFailed(f"QEMU opened no serial port in {timeout:g} s") from None
            pid = _peer_pid(connection)
            self._readers.append(MarkReader(connection.detach(), prefix))
        return pid

    @property
    def marks(self) -> MarkReader:
        """The reader of the entry point's output; only after `accept`."""
        return self._readers[1]

    def evidence(self) -> str:
        """Return the last lines of both ports, to be told with a failure."""
        tails = [reader.tail.strip() for reader in self._readers]
        lines = [line.strip() for tail in tails for line in tail.splitlines()]
        return " | ".join(line for line in lines if line)[-600:] or "the guest printed nothing"

    def close(self) -> None:
        """Close everything; may be called any number of times. The folder's owner removes it."""
        for reader in self._readers:
            reader.close()
        for listening in self._listening:
            listening.close()


def _listen(path: Path, owner: tuple[int, int]) -> socket.socket:
    if len(os.fsencode(path)) > PATH_MAX:
        raise LabError(
            f"listen on {path}",
            f"a socket's path has at most {PATH_MAX} bytes",
            remedy="let LAB_RUN name a folder with a shorter path",
        )
    listening = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        listening.bind(os.fspath(path))
        if owner[0] == os.geteuid():
            os.chmod(path, 0o600)
        elif os.geteuid() == 0:
            os.chmod(path, 0o600)
            os.chown(path, *owner)
        else:
            os.chmod(path, 0o666)  # only the owner of the folder above knows its random name
        listening.listen(1)
    except BaseException:
        listening.close()
        raise
    return listening


def _peer_pid(connection: socket.socket) -> int:
    """Return the pid of the process at the other end, as the kernel tells it (SO_PEERCRED)."""
    credentials = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12)
    pid: int = struct.unpack("3i", credentials)[0]
    return pid
