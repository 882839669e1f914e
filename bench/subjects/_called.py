"""What instances have in common that a command starts: a pipe for the marks that begins before the
command, and the birth of their first process as the kernel tells it.
"""

from __future__ import annotations

import os
import signal
import time
from abc import abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from bench.births import Births
from bench.client import Client
from bench.marks import INIT, READY, MarkReader
from bench.scratch import NONE, Scratch
from bench.subjects.base import Instance, InstanceFailed, Stamps


class CalledInstance(Instance):
    """One instance. T0 is the moment before its command is started."""

    def __init__(
        self,
        name: str,
        command: Sequence[str],
        environment: Mapping[str, str] | None = None,
        scratch: Scratch = NONE,
    ) -> None:
        self.name = name
        self._scratch = scratch
        self._births = Births()
        ours, theirs = os.pipe()
        self._marks = MarkReader(ours)
        self.stamps = Stamps(t0=time.monotonic_ns())
        try:
            self._before()
            self._client = Client(command, theirs, environment)
        except BaseException as error:
            self._let_go()
            if isinstance(error, OSError):
                raise InstanceFailed(f"start {command[0]}: {error.strerror}") from error
            raise
        finally:
            os.close(theirs)

    def _before(self) -> None:
        """Do what the command leaves to its caller, after T0: nothing, unless overridden.

        Raises:
            OSError, LabError: that failed.
        """

    @property
    def marks(self) -> MarkReader:
        return self._marks

    def wait_ready(self, timeout: float) -> None:
        deadline = time.monotonic() + timeout
        try:
            self.stamps.t3 = self._marks.wait(READY, timeout)
            self.stamps.t2 = self._marks.stamp(INIT)
            self.stamps.t1 = self._births.of(self._look(deadline - time.monotonic()))
        except InstanceFailed as error:
            raise InstanceFailed(f"{error}{self._marks.evidence()}") from error
        finally:
            self._births.close()

    def stop(self, timeout: float) -> None:
        """Ask the command, which passes it on, unless overridden."""
        self._client.signal(signal.SIGTERM)
        if self._client.wait(timeout) is None:
            raise InstanceFailed(f"still running {timeout:g} s after SIGTERM")
        self.destroy()

    @abstractmethod
    def _look(self, timeout: float) -> int:
        """Once it is ready: find out what is needed from now on; return its first process's pid.

        Raises:
            InstanceFailed: it has died since, or `timeout` seconds passed.
        """

    def _let_go(self) -> None:
        """Give back what this process holds for it, once it has ended. May be called again."""
        self._births.close()
        self._marks.close()
        self._scratch.remove()


def first(pids: Iterable[int]) -> int:
    """Return which of a container's processes is process 1 of its pid namespace (NSpid in
    proc_pid_status(5)).

    Raises:
        InstanceFailed: none is; it has ended.
    """
    for pid in pids:
        try:
            text = Path(f"/proc/{pid}/status").read_text()
        except (FileNotFoundError, ProcessLookupError):
            continue  # it has ended meanwhile
        numbers = text.partition("NSpid:")[2].partition("\n")[0].split()
        if len(numbers) > 1 and numbers[-1] == "1":
            return pid
    raise InstanceFailed("it ended as soon as it was ready")
