"""Ready marks: lines that an instance prints and the host stamps the moment they arrive.

Every kind of subject prints the same two lines, `lab:init` and `lab:ready`, on the standard output
of its entry point, and what else begins with `lab:` (bench/work.py): on a pipe for a process or a
container, on a serial port joined to a Unix socket for a VM. One background thread waits for all of
them with epoll(7), so a mark's time is that of its arrival and never that of a polling interval,
which in published suites is often the largest error.

All times are CLOCK_MONOTONIC nanoseconds of the host (clock_gettime(2)).
"""

from __future__ import annotations

import os
import selectors
import threading
import time

from bench.subjects.base import InstanceFailed, Stamps

INIT = "lab:init"
READY = "lab:ready"
PREFIX = "lab:"

TAIL_BYTES = 65536
MOST = 10_000  # marks kept of one instance, which may be hostile


class MarkReader:
    """Reads one file descriptor (pipe, socket, terminal) and stamps the marks it sees.

    The reader owns `fd` from now on and makes it non-blocking; it is closed at its end of file or
    by `close`. A mark is a whole line; a serial port's "\\r\\n" counts as a line end.

    Args:
        fd: the host's end of the instance's output.
        prefix: how the lines begin that are marks; None if none is.
    """

    def __init__(self, fd: int, prefix: str | None = PREFIX) -> None:
        os.set_blocking(fd, False)
        self._fd = fd
        self._prefix = None if prefix is None else prefix.encode()
        self._seen: list[tuple[int, str]] = []
        self._stamps: dict[str, int] = {}  # of the first of its kind
        self._line = b""
        self._tail = b""
        self._ended: int | None = None
        self._changed = threading.Condition()
        _watch(self)

    @property
    def tail(self) -> str:
        """The last output (at most `TAIL_BYTES`), kept as evidence of what went wrong."""
        with self._changed:
            return self._tail.decode(errors="replace")

    def evidence(self) -> str:
        """Return the end of the output in one line, to follow the reason of a failure."""
        said = " ".join(self.tail.split())[-200:]
        return f"; it wrote: {said}" if said else ""

    @property
    def ended(self) -> int | None:
        """When the output ended, or None while it is open."""
        with self._changed:
            return self._ended

    def stamp(self, mark: str) -> int | None:
        """Return when `mark` first arrived, or None if it hasn't."""
        with self._changed:
            return self._stamps.get(mark)

    def seen(self) -> list[tuple[int, str]]:
        """Return all marks so far with their stamps, in the order of their arrival."""
        with self._changed:
            return list(self._seen)

    def wait_ready(self, stamps: Stamps, timeout: float) -> None:
        """Wait until the instance is ready, and stamp T2 and T3.

        Raises:
            InstanceFailed: as of `wait`, with what the instance wrote last.
        """
        try:
            stamps.t3 = self.wait(READY, timeout)
        except InstanceFailed as error:
            raise InstanceFailed(f"{error}{self.evidence()}") from error
        stamps.t2 = self.stamp(INIT)

    def wait(self, mark: str, timeout: float) -> int:
        """Wait until `mark` has arrived and return its stamp.

        Raises:
            InstanceFailed: the output ended first, or `timeout` seconds passed.
        """
        with self._changed:
            self._changed.wait_for(lambda: mark in self._stamps or self._ended, timeout)
            if mark in self._stamps:
                return self._stamps[mark]
            why = "its output ended" if self._ended else f"{timeout:g} s passed"
        raise InstanceFailed(f"{why} before the mark {mark}")

    def wait_end(self, timeout: float) -> int:
        """Wait until the output ended (every writer closed it) and return when that was.

        Raises:
            InstanceFailed: it was still open after `timeout` seconds.
        """
        with self._changed:
            self._changed.wait_for(lambda: self._ended, timeout)
            if self._ended:
                return self._ended
        raise InstanceFailed(f"its output was still open after {timeout:g} s")

    def close(self) -> None:
        """Stop reading and close the descriptor. May be called any number of times."""
        with self._changed:
            self._end()

    def on_readable(self) -> None:
        """Take what has arrived. Called by the watching thread only."""
        now = time.monotonic_ns()
        with self._changed:
            if self._ended is not None:
                return
            try:
                data = os.read(self._fd, 65536)
            except BlockingIOError:
                return
            except OSError:  # EIO: the other side of a terminal is gone; ECONNRESET: of a socket
                data = b""
            if data:
                self._take(data, now)
            else:
                self._end()

    def _take(self, data: bytes, now: int) -> None:
        self._tail = (self._tail + data)[-TAIL_BYTES:]
        *lines, self._line = (self._line + data).split(b"\n")
        self._line = self._line[-TAIL_BYTES:]  # output without line ends must not fill memory
        for line in lines:
            if self._prefix and line.startswith(self._prefix) and len(self._seen) < MOST:
                mark = line.strip(b"\r").decode(errors="replace")
                self._seen.append((now, mark))
                self._stamps.setdefault(mark, now)
        self._changed.notify_all()

    def _end(self) -> None:
        if self._ended is not None:
            return
        self._ended = time.monotonic_ns()
        _unwatch(self._fd)
        os.close(self._fd)
        self._changed.notify_all()


_selector: selectors.BaseSelector | None = None
_selector_lock = threading.Lock()


def _watch(reader: MarkReader) -> None:
    """Hand `reader` to the one watching thread, started on first use."""
    global _selector
    with _selector_lock:
        if _selector is None:
            # epoll takes descriptors added while it waits, so no wake-up pipe is needed.
            _selector = selectors.EpollSelector()
            threading.Thread(target=_serve, args=(_selector,), name="marks", daemon=True).start()
        _selector.register(reader._fd, selectors.EVENT_READ, reader)


def _unwatch(fd: int) -> None:
    with _selector_lock:
        if _selector is not None:
            _selector.unregister(fd)


def _serve(selector: selectors.BaseSelector) -> None:
    while True:
        for key, _ in selector.select():
            key.data.on_readable()
