"""A command of the host that starts an instance, and whose end is an event.

Man pages: pidfd_open(2), poll(2).
"""

from __future__ import annotations

import os
import select
import signal
import subprocess
from collections.abc import Mapping, Sequence

from labrt import paths


class Client:
    """The command, running; in a process group of its own, so that Ctrl-C doesn't reach it.

    Args:
        output: the descriptor that becomes its standard output and error.

    Raises:
        OSError: it can't be started.
    """

    def __init__(
        self, command: Sequence[str], output: int, environment: Mapping[str, str] | None = None
    ) -> None:
        self._process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            env=environment,
            cwd=paths.run_dir(),  # conmon leaves a file `oom` where it is when memory runs out
            process_group=0,
        )
        self.pid = self._process.pid
        self._pidfd = os.pidfd_open(self.pid)

    def wait(self, timeout: float) -> int | None:
        """Wait until it has ended; None if `timeout` seconds passed before.

        Returns:
            Its exit status, -N if signal N ended it.
        """
        if self._process.returncode is None:
            if not ended(self._pidfd, timeout):
                return None
            self._process.wait()
            os.close(self._pidfd)
        return self._process.returncode

    @property
    def alive(self) -> bool:
        return self.wait(0) is None

    def signal(self, number: signal.Signals) -> None:
        """Send it a signal; content to find it ended."""
        if self.alive:
            self._process.send_signal(number)

    def kill(self) -> None:
        """End it by force. May be called again."""
        self.signal(signal.SIGKILL)
        self.wait(60.0)


def ended(pidfd: int, timeout: float) -> bool:
    """Wait until the process of a pidfd has ended; False if `timeout` seconds passed before."""
    poll = select.poll()
    poll.register(pidfd, select.POLLIN)
    return bool(poll.poll(max(0.0, timeout) * 1000))
