"""labrt/images/reading_ahead.py: the same bytes, the same errors, in the same order; and no thread
left."""

from __future__ import annotations

import io
import threading
from typing import Any

import pytest

from labrt.images.reading_ahead import CHUNK, MOST, Ahead

DATA = bytes(range(256)) * (CHUNK // 100)


class Source(io.RawIOBase):
    """Gives `DATA`, then fails if it is to."""

    def __init__(self, error: Exception | None = None) -> None:
        self._data = io.BytesIO(DATA)
        self._error = error

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        count = self._data.readinto(buffer)
        if not count and self._error:
            raise self._error
        return count


def alive() -> int:
    return sum(thread.name == "reading ahead" for thread in threading.enumerate())


def test_it_gives_what_the_stream_has() -> None:
    with Ahead(Source()) as ahead:
        assert io.BufferedReader(ahead).read() == DATA
        assert ahead.read(1) == b""
    assert alive() == 0


def test_an_error_comes_after_what_was_read_before_it() -> None:
    with Ahead(Source(EOFError("cut short"))) as ahead:
        got = bytearray()
        with pytest.raises(EOFError, match="cut short"):
            while piece := ahead.read(1000):
                got += piece
        assert got == DATA
    assert alive() == 0


def test_who_stops_early_leaves_no_thread_behind() -> None:
    class Endless(Source):
        def readinto(self, buffer: Any) -> int:
            return len(buffer)

    with Ahead(Endless()) as ahead:
        assert len(ahead.read(MOST)) == MOST
    assert alive() == 0
