"""Reading ahead: a thread reads a stream while who wants its bytes is at work with the last ones.

To decompress and to hash are most of the work of reading a layer, and Python lets other threads run
meanwhile.
"""

from __future__ import annotations

import io
from collections.abc import Iterator
from queue import Empty, Queue
from threading import Thread

from labrt.images.pieces import Pieces

CHUNK = 1 << 20  # bytes
MOST = 4  # chunks that wait to be fetched


class Ahead(Pieces):
    """The bytes of `stream`, and its errors, when their turn comes. Closing it ends the thread; the
    stream is its opener's to close, after that."""

    def __init__(self, stream: io.RawIOBase) -> None:
        super().__init__(self._fetched())
        self._stream = stream
        self._came: Queue[bytes | BaseException] = Queue(MOST)
        self._given_up = False
        self._thread = Thread(target=self._fill, name="reading ahead", daemon=True)
        self._thread.start()

    def _fill(self) -> None:
        try:
            while not self._given_up and (piece := self._stream.read(CHUNK)):
                self._came.put(piece)
            self._came.put(b"")
        except BaseException as error:
            self._came.put(error)

    def _fetched(self) -> Iterator[bytes]:
        while came := self._came.get():
            if isinstance(came, BaseException):
                raise came
            yield came

    def close(self) -> None:
        self._given_up = True
        while self._thread.is_alive():  # it may wait for room
            try:
                self._came.get(timeout=0.01)
            except Empty:
                pass
        super().close()
