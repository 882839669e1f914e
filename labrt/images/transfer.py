"""Transfer: several blobs at once, and how far they are."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import FIRST_EXCEPTION, Future, wait
from typing import TypeVar

from labrt.images.store import Descriptor

AT_ONCE = 3
_T = TypeVar("_T")


class Progress:
    """Is told how far each blob is, by several threads. This one keeps it to itself."""

    def begin(self, blob: Descriptor, already: int) -> None:
        """A blob of which so many bytes are there already begins, or begins again."""

    def moved(self, blob: Descriptor, count: int) -> None:
        """So many more bytes are there."""

    def end(self, blob: Descriptor, how: str) -> None:
        """All of it is there: "here already", "pulled", "sent", "mounted", "there already"."""


class _Stopped(Exception):
    """Somebody else failed, or the user has had enough."""


class _Stoppable(Progress):
    """Passes on what it is told until it is stopped; whoever tells it then, stops too."""

    def __init__(self, progress: Progress) -> None:
        self._progress = progress
        self.stopped = False

    def begin(self, blob: Descriptor, already: int) -> None:
        self._check()
        self._progress.begin(blob, already)

    def moved(self, blob: Descriptor, count: int) -> None:
        self._check()
        self._progress.moved(blob, count)

    def end(self, blob: Descriptor, how: str) -> None:
        self._progress.end(blob, how)

    def _check(self) -> None:
        if self.stopped:
            raise _Stopped


def at_once(
    move: Callable[[Descriptor, Progress], _T], blobs: Sequence[Descriptor], progress: Progress
) -> list[_T]:
    """Move each blob, a few at a time; return what came of each, in order.

    The first failure, or Ctrl-C, ends all. The threads are daemons: nobody waits for one that
    waits for a server.
    """
    stoppable = _Stoppable(progress)
    futures: list[Future[_T]] = [Future() for _ in blobs]
    waiting = deque(zip(blobs, futures, strict=True))

    def work() -> None:
        while waiting and not stoppable.stopped:
            try:
                blob, future = waiting.popleft()
            except IndexError:
                return  # another thread was quicker
            try:
                future.set_result(move(blob, stoppable))
            except BaseException as error:
                future.set_exception(error)

    for _ in blobs[:AT_ONCE]:
        threading.Thread(target=work, daemon=True).start()
    try:
        for each in wait(futures, return_when=FIRST_EXCEPTION).done:
            each.result()  # raises what failed
    finally:
        stoppable.stopped = True
    return [each.result() for each in futures]
