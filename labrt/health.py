"""Health: a command that is run in the container again and again and tells whether it is well.

As Docker's HEALTHCHECK: status 0 is well; so many failures in a row, and it is called unhealthy.
"""

from __future__ import annotations

import os
import signal
import time
from dataclasses import replace
from pathlib import Path

from labrt import container, events, state
from labrt.container import Started
from labrt.errors import LabError
from labrt.loop import Loop
from labrt.spec import Spec


class Health:
    """The asking, on the launcher's event loop: never waits, never overlaps."""

    def __init__(self, folder: Path, spec: Spec, loop: Loop) -> None:
        self.folder = folder
        self.spec, self.check = spec, spec.life.health
        self.process = replace(spec.process, args=self.check.args, terminal=False)
        self.since = time.monotonic()
        self.loop = loop
        self.asking: Started | None = None
        self.failures = 0
        self.over = False
        state.update_status(folder, health="starting")
        loop.after(self.check.interval, self._ask)

    def _ask(self) -> None:
        if self.over:
            return
        if container.is_paused(self.spec):
            self.loop.after(self.check.interval, self._ask)
            return
        null = os.open(os.devnull, os.O_RDWR | os.O_CLOEXEC)
        try:
            self.asking = container.enter(self.folder, self.process, (null, null, null))
        except LabError:
            self._note(well=False)  # it can't even be started: no shell, or the container ends
            return
        finally:
            os.close(null)
        asking = self.asking
        self.loop.watch(asking.pidfd, self._answered)
        self.loop.after(self.check.timeout, lambda: self._too_late(asking))

    def _too_late(self, asking: Started) -> None:
        if self.asking is asking:
            asking.signal(signal.SIGKILL)

    def _answered(self) -> None:
        well = self._end() == 0
        if not self.over:
            self._note(well)

    def _end(self) -> int | None:
        asking, self.asking = self.asking, None
        if asking is None:
            return None
        self.loop.unwatch(asking.pidfd)
        asking.finish()
        return asking.exit_code

    def _note(self, well: bool) -> None:
        counts = time.monotonic() - self.since >= self.check.start_period
        self.failures = 0 if well else self.failures + counts
        if well or self.failures >= self.check.retries:
            self._tell("healthy" if well else "unhealthy")
        self.loop.after(self.check.interval, self._ask)

    def _tell(self, health: str) -> None:
        if state.read_status(self.folder).health != health:
            state.update_status(self.folder, health=health)
            events.record(self.spec, "health_status", health=health)

    def stop(self) -> None:
        """The container has ended."""
        self.over = True
        self._end()
