"""Reading ahead: a thread reads a stream while who wants its bytes is at work with the last ones.

To decompress and to hash are most of the work of reading a layer, and Python lets other threads run
meanwhile.
"""

from __future__ import annotations

import io
from queue import Empty, Queue
from threading import Thread
from typing import Any

CHUNK = 1 << 20  # bytes
MOST = 4  # chunks that wait to be fetched


class Ahead(io.RawIOBase):
    """The bytes of `stream`, and its errors, when their turn comes. Closing it ends the thread; the
    stream is its opener's to close, after that."""

    def __init__(self, stream: io.RawIOBase) -> None:
        self._stream = stream
        self._came: Queue[bytes | BaseException] = Queue(MOST)
        self._given_up = False
        self._rest = memoryview(b"")
        self._ended = False
        self._thread = Thread(target=self._fill, name="reading ahead", daemon=True)
        self._thread.start()

    def _fill(self) -> None:
        try:
            while not self._given_up and (piece := self._stream.read(CHUNK)):
                self._came.put(piece)
            self._came.put(b"")
        except BaseException as error:
            self._came.put(error)

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        if not self._rest and not self._ended:
            came = self._came.get()
            if isinstance(came, BaseException):
                self._ended = True
                raise came
            self._rest, self._ended = memoryview(came), not came
        count = min(len(buffer), len(self._rest))
        buffer[:count] = self._rest[:count]
        self._rest = self._rest[count:]
        return count

    def close(self) -> None:
        self._given_up = True
        while self._thread.is_alive():  # it may wait for room
            try:
                self._came.get(timeout=0.01)
            except Empty:
                pass
        super().close()
