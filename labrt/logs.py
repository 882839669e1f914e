"""The log of a detached container: the file that its standard output and error go to."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from pathlib import Path

from labrt import state

BLOCK = 1 << 16


def read(folder: Path, since: int | None, pause: float) -> Iterator[bytes]:
    """Yield what is in a container's log; then, unless `pause` is 0, what is added until it ends,
    looking every `pause` seconds.

    Args:
        since: the byte to begin at, None for the log's end.
    """
    with open(folder / "log", "rb") as file:
        file.seek(since or 0, os.SEEK_END if since is None else os.SEEK_SET)
        ended = not pause
        while True:
            if data := file.read(BLOCK):
                yield data
            elif ended:
                return
            else:
                time.sleep(pause)
                ended = state.read_status(folder).state != "running"  # read once more after that


def size(folder: Path) -> int:
    """Return how many bytes there are; 0 where there is no log yet."""
    try:
        return (folder / "log").stat().st_size
    except FileNotFoundError:
        return 0


def last_lines(folder: Path, count: int) -> int:
    """Return the byte at which the last `count` lines begin. What stands after the last newline is
    a line, too."""
    if count == 0:
        return size(folder)
    with open(folder / "log", "rb") as file:
        end = file.seek(0, os.SEEK_END)
        at = max(0, end - 1)  # the newline of the last line separates it from nothing
        while at > 0:
            begin = max(0, at - BLOCK)
            file.seek(begin)
            block = file.read(at - begin)
            newlines = block.count(b"\n")
            if newlines >= count:
                return begin + _before_last(block, count) + 1
            count, at = count - newlines, begin
    return 0


def _before_last(block: bytes, count: int) -> int:
    """Return where the `count`-th newline from the end is."""
    at = len(block)
    for _ in range(count):
        at = block.rindex(b"\n", 0, at)
    return at
