"""How far a pull or push is, on standard error: bars on a terminal, else a line for each blob."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from rich.filesize import decimal

from labrt.images.store import Descriptor
from labrt.images.transfer import Progress

if TYPE_CHECKING:
    from rich.progress import Progress as Screen
    from rich.progress import TaskID


@contextmanager
def shown(quiet: bool = False) -> Iterator[Progress]:
    """Give what shows it where standard error leads to."""
    if quiet:
        yield Progress()
    elif sys.stderr.isatty():
        with _screen() as screen:
            yield _Bars(screen)
    else:
        yield _Lines()


def _short(blob: Descriptor) -> str:
    return blob.digest.removeprefix("sha256:")[:12]


class _Lines(Progress):
    def end(self, blob: Descriptor, how: str) -> None:
        line = f"{_short(blob)}: {how}, {decimal(blob.size)}\n"
        sys.stderr.write(line)  # at once: print() would let another thread's line in before its end


def _screen() -> Screen:
    from rich.console import Console  # only now: 100 ms to import
    from rich.progress import BarColumn, DownloadColumn, TextColumn, TransferSpeedColumn
    from rich.progress import Progress as Screen

    columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn())
    ending = TextColumn("{task.fields[how]}")
    return Screen(*columns, TransferSpeedColumn(), ending, console=Console(stderr=True))


class _Bars(Progress):
    def __init__(self, screen: Screen) -> None:
        self._screen = screen
        self._tasks: dict[str, TaskID] = {}

    def _task(self, blob: Descriptor) -> TaskID:
        if blob.digest not in self._tasks:
            task = self._screen.add_task(_short(blob), total=blob.size, how="")
            self._tasks[blob.digest] = task
        return self._tasks[blob.digest]

    def begin(self, blob: Descriptor, already: int) -> None:
        self._screen.update(self._task(blob), completed=already)

    def moved(self, blob: Descriptor, count: int) -> None:
        self._screen.advance(self._task(blob), count)

    def end(self, blob: Descriptor, how: str) -> None:
        self._screen.update(self._task(blob), completed=blob.size, how=how)
