"""An event loop: file descriptors that become readable, and moments that come (epoll(7)).

One thread, no polling: it sleeps until something happens. The launcher lives in it.
"""

from __future__ import annotations

import heapq
import itertools
import selectors
import time
from collections.abc import Callable

Callback = Callable[[], None]


class Loop:
    """Calls back for each event, in the order they come, until somebody calls `stop`."""

    def __init__(self) -> None:
        self._selector = selectors.DefaultSelector()
        self._moments: list[tuple[float, int, Callback]] = []
        self._number = itertools.count()  # two at the same moment: first come, first served
        self._stopped = False

    def watch(self, fd: int, callback: Callback) -> None:
        """Call back each time `fd` can be read."""
        self._selector.register(fd, selectors.EVENT_READ, callback)

    def unwatch(self, fd: int) -> None:
        """Before `fd` is closed; content if it isn't watched."""
        if fd >= 0 and fd in self._selector.get_map():
            self._selector.unregister(fd)

    def after(self, seconds: float, callback: Callback) -> None:
        """Call back once, `seconds` from now."""
        moment = time.monotonic() + seconds
        heapq.heappush(self._moments, (moment, next(self._number), callback))

    def stop(self) -> None:
        self._stopped = True

    def run(self) -> None:
        """Serve events until `stop`."""
        while not self._stopped:
            self.once()

    def once(self) -> None:
        """Wait for the next event or moment; serve it, and those that came with it."""
        for key, _events in self._selector.select(self._until_next()):
            if key.fd in self._selector.get_map():  # unless an earlier one has closed it
                key.data()
        while self._moments and self._moments[0][0] <= time.monotonic():
            heapq.heappop(self._moments)[2]()

    def _until_next(self) -> float | None:
        if not self._moments:
            return None
        return max(0.0, self._moments[0][0] - time.monotonic())
