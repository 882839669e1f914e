"""A process that this one has started, held by a pidfd: its number can't become another's.

Man pages: pidfd_open(2), pidfd_send_signal(2), waitid(2).
"""

from __future__ import annotations

import os
import select
import signal


class Child:
    """A child of this process.

    Attributes:
        exit_code: once it has been waited for, 128 + N if signal N ended it.
    """

    exit_code: int | None = None

    @property
    def pidfd(self) -> int:
        """Its descriptor, which can be read when it has ended."""
        raise NotImplementedError

    def signal(self, number: int) -> None:
        """Send it a signal; content to find it ended."""
        try:
            signal.pidfd_send_signal(self.pidfd, number)
        except ProcessLookupError:
            pass

    def wait(self, timeout: float | None = None) -> int | None:
        """Wait until it ends; return its exit code, None if `timeout` seconds passed first."""
        if self.exit_code is None and readable(self.pidfd, timeout):
            self.exit_code = _reap(self.pidfd)
        return self.exit_code

    def kill(self) -> None:
        """End it by force; it isn't waited for."""
        self.signal(signal.SIGKILL)

    def oom_killed(self) -> bool:
        """Whether the kernel killed something of it for want of memory."""
        return False

    def finish(self) -> None:
        """Once it has ended, leave nothing of it."""
        os.close(self.pidfd)


def readable(fd: int, timeout: float | None) -> bool:
    """Wait until a descriptor can be read (a pidfd: its process has ended), `timeout` in seconds"""
    poll = select.poll()
    poll.register(fd, select.POLLIN)
    return bool(poll.poll(None if timeout is None else timeout * 1000))


def _reap(pidfd: int) -> int | None:
    try:
        result = os.waitid(os.P_PIDFD, pidfd, os.WEXITED)
    except ChildProcessError:
        return None  # an adopted one: its exit code went to the process that reaps orphans
    assert result is not None, "WNOHANG was not asked for"
    return result.si_status if result.si_code == os.CLD_EXITED else 128 + result.si_status
