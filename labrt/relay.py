"""Relay: the person's terminal and the container's, made one (termios(3), pty(7)).

Ours is set raw, so that every key, Ctrl-C too, goes to the container's, which then does what
terminals do. A change of our window's size is passed on (SIGWINCH).
"""

from __future__ import annotations

import os
import select
import signal
import termios
import tty
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from labrt import terminal

DETACH = b"\x10\x11"  # Ctrl-P Ctrl-Q, as Docker has it


@contextmanager
def raw(fd: int) -> Iterator[None]:
    """Set a terminal raw for the time of the block; content if `fd` is none."""
    if not os.isatty(fd):
        yield
        return
    before = termios.tcgetattr(fd)
    tty.setraw(fd, termios.TCSADRAIN)  # what was typed ahead isn't thrown away
    try:
        yield
    finally:
        with suppress(termios.error):  # our terminal has been closed
            termios.tcsetattr(fd, termios.TCSADRAIN, before)


@contextmanager
def sized(master: int) -> Iterator[None]:
    """Give a container's terminal our window's size, now and whenever it changes."""
    if master < 0 or not os.isatty(0):
        yield
        return
    terminal.copy_size(0, master)
    before = signal.signal(signal.SIGWINCH, lambda number, frame: terminal.copy_size(0, master))
    try:
        yield
    finally:
        signal.signal(signal.SIGWINCH, before)


def relay(master: int, typed: bool) -> None:
    """Show what the container's terminal shows until it closes.

    Args:
        master: the terminal's master end.
        typed: whether standard input goes to it.
    """
    with raw(0 if typed else -1), sized(master):
        sources = [master, 0] if typed else [master]
        while master in sources:
            for fd in select.select(sources, [], [])[0]:
                if not _pass_on(fd, 1 if fd == master else master):
                    sources.remove(fd)


def type_into(fd: int) -> bool:
    """Pass standard input on until its end; True if the detach keys ended it."""
    while data := os.read(0, 4096):
        kept, detach, _rest = data.partition(DETACH)
        _write(fd, kept)
        if detach:
            return True
    return False


def _pass_on(source: int, target: int) -> bool:
    """Pass on what can be read; False at the end (EIO: nobody has the terminal open)."""
    try:
        data = os.read(source, 65536)
    except OSError:
        return False
    _write(target, data)
    return bool(data)


def _write(fd: int, data: bytes) -> None:
    while data:
        data = data[os.write(fd, data) :]
