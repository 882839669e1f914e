"""Two notebooks at a time: while a test waits for one, the next is executed already.

A notebook waits more than it reckons: for its kernel, for containers and virtual machines.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from itertools import pairwise
from pathlib import Path

import nbformat
from nbformat import NotebookNode

from tests.notebooks.classroom import Student, allowed, solved, student


class TwoAtOnce:
    """Solved notebooks, each taken once, in order."""

    def __init__(self, chosen: list[tuple[Path, int]], alone: Callable[[Path], bool]) -> None:
        """Begin nothing yet.

        Args:
            chosen: which will be taken, and by whom (uid), in order.
            alone: whether nothing else may be executed beside a notebook.
        """
        self._next = dict(pairwise(chosen))
        self._alone = alone
        self._begun: dict[tuple[Path, int], Begun] = {}

    @contextmanager
    def taken(self, path: Path, uid: int) -> Iterator[tuple[Student, NotebookNode]]:
        """The student, who then must leave nothing, and the executed notebook."""
        one = self._begun.pop((path, uid), None) or Begun(path, uid)
        with one.stack:
            after = self._next.get((path, uid))
            if after and after[1] == uid and not (self._alone(path) or self._alone(after[0])):
                self._begun[after] = Begun(*after)
            yield one.someone, one.someone.executed(one.running, allowed(path))

    def __enter__(self) -> TwoAtOnce:
        return self

    def __exit__(self, *exc: object) -> None:
        for begun in self._begun.values():  # pytest was interrupted
            begun.running.terminate()
            begun.running.communicate()
            begun.stack.close()


class Begun:
    """A student who has begun with a solved notebook.

    Attributes:
        stack: to be closed after their end.
        running: the process that executes the notebook.
    """

    def __init__(self, path: Path, uid: int) -> None:
        with ExitStack() as stack:
            self.someone = stack.enter_context(student(uid))
            self.running = self.someone.begin(solved(nbformat.read(path, as_version=4)))
            self.stack = stack.pop_all()
