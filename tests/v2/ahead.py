"""A guest that is started beside other tests, before those that want its result.

Tests of the runtime leave a core idle. Started when its result is wanted, the guest would be waited
for.
"""

from __future__ import annotations

import os

from tests.v2.beside import Beside

WHILE = "tests/labrt/"  # others measure, or look at the host's memory and its virtual machines


class Ahead:
    """A plugin of pytest's; the guest is ended with the session if nobody takes it."""

    def __init__(self, tests: list[str], deadline: float) -> None:
        self._tests = tests
        self._deadline = deadline
        self._environment = dict(os.environ)  # the other tests' fixtures change it
        self._guest: Beside | None = None
        self._awaited = True

    def pytest_runtest_logstart(self, nodeid: str) -> None:
        """Before each test."""
        if self._awaited and self._guest is None and nodeid.startswith(WHILE):
            self._guest = Beside(self._tests, self._deadline, self._environment)

    def take(self, tests: list[str]) -> Beside | None:
        """Hand over the guest that runs `tests`, to be ended by the caller; None if none does."""
        if tests != self._tests:
            return None
        taken, self._guest = self._guest, None
        self._awaited = False
        return taken

    def pytest_unconfigure(self) -> None:
        """After the last test, also if pytest was interrupted."""
        if self._guest is not None:
            self._guest.end()
