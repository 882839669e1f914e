"""Waiting for a process of a container that this command has started, as runc's users expect: what
signals we get, it gets."""

from __future__ import annotations

import signal
from types import FrameType

from labrt.container import Started

# Not passed on: what nobody can catch, what tells us of our own children, and what the terminal's
# own handler is for.
_OURS = {
    signal.SIGKILL,
    signal.SIGSTOP,
    signal.SIGCHLD,
    signal.SIGPIPE,
    signal.SIGURG,
    signal.SIGWINCH,
}


def attend(running: Started) -> int:
    """Wait for its end, showing its terminal if it has one.

    Returns:
        Its exit code.
    """

    def pass_on(number: int, frame: FrameType | None) -> None:
        running.signal(number)

    for number in signal.valid_signals() - _OURS:
        signal.signal(number, pass_on)
    if running.master >= 0:
        from labrt import relay

        relay.relay(running.master, True)
    status = running.wait()
    assert status is not None, "no time-out was given"
    return status
