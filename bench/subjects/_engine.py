"""A container of an engine, started by the engine's command line, as its users do.

Host side. T0 is the moment before the command is started; the marks come by its standard output.
"""

from __future__ import annotations

import math
import time
from collections.abc import Sequence

from bench.engine import Engine, mark
from bench.scratch import Scratch
from bench.subjects._called import CalledInstance
from bench.subjects.base import InstanceFailed, Workload
from labrt.errors import LabError

LATER = 60  # seconds after the deadline, when an engine would kill what it was asked to stop
START_SECONDS = 10.0  # that an engine may take to finish a start whose instance is given up
RETRY_SECONDS = 0.05


class EngineInstance(CalledInstance):
    """One container, called after its instance."""

    def __init__(
        self,
        engine: Engine,
        workload: Workload,
        image: str,
        options: Sequence[str],
        scratch: Scratch,
    ) -> None:
        name = scratch.name
        self._engine = engine
        self._removed = False
        super().__init__(
            name,
            [
                *engine.command,
                "run",
                f"--name={name}",
                f"--hostname={name}",
                f"--label={mark()}",
                f"--memory={workload.memory}",
                f"--cpus={workload.cpus:g}",
                "--network=none",
                "--pull=never",
                *options,
                *scratch.words,
                image,
                *workload.command,
            ],
            scratch=scratch,
        )

    def _ask_to_stop(self, timeout: float) -> None:
        """Have the engine send SIGTERM and wait; it isn't let to go on to SIGKILL.

        Raises:
            InstanceFailed: it does not run, or was still there after `timeout` seconds.
        """
        grace = str(math.ceil(timeout) + LATER)
        try:
            self._engine.call("stop", "-t", grace, self.name, timeout=timeout)
        except LabError as error:
            raise InstanceFailed(f"stop: {error}") from error

    def _remove(self) -> None:
        """Remove the container; once. An engine that is busy starting it may say that it has, and
        have made it a moment later: so the last word is after its command has ended."""
        if self._removed:
            return
        deadline = time.monotonic() + START_SECONDS
        while self._client.alive and time.monotonic() < deadline:
            self._engine.remove(self.name)
            self._client.wait(RETRY_SECONDS)
        self._client.kill()
        self._engine.remove(self.name)
        self._removed = True
