"""init: a first process that reaps what others leave behind (pid_namespaces(7), wait(2)).

Process 1 of a pid namespace inherits every orphan in it. A program that doesn't expect that
collects zombies until pids.max is reached; and it has no default action for SIGTERM. --init puts a
small process in its place that reaps, hands signals on and ends as the program ends.

It is the lab's own child that stays, without an execve(2): that needs nothing of the image and no
program on the host, and it shares almost all of its memory with the launcher (measured: 0.6 MiB of
its own each). The container can't look into it (`ShieldProcess`) and it is under the same filter
and limits as the program.
"""

from __future__ import annotations

import ctypes
import os
import signal
from typing import ClassVar, NoReturn

from labrt import paths, syscalls
from labrt.step import Context, Step


class StayAsInit(Step):
    """The last step before `Exec`, which the forked child goes on to."""

    side: ClassVar = "container"
    man: ClassVar = "fork(2)"
    reason: ClassVar = "process 1 has duties that few programs know of"

    def describe(self) -> str:
        return "fork; the parent stays as process 1: it reaps and hands signals on"

    def do(self, context: Context) -> None:
        every = signal.valid_signals()
        before = signal.pthread_sigmask(signal.SIG_BLOCK, every)
        syscalls.set_name("init")  # before there is a program that could look
        _overwrite_arguments(b"init")
        child = os.fork()
        if child:
            _serve(child, every)
        _lead_terminal()
        syscalls.prctl(syscalls.PR_SET_PDEATHSIG, signal.SIGKILL)  # in a shared pid namespace
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _lead_terminal() -> None:
    """Make the program a job of its own, in front: what the terminal sends reaches it once."""
    os.setpgid(0, 0)
    try:
        os.tcsetpgrp(0, os.getpgrp())  # its SIGTTOU is blocked
    except OSError:
        pass  # standard input is no terminal of this session


def _serve(program: int, every: set[signal.Signals]) -> NoReturn:
    """Be process 1 until the program ends."""
    syscalls.close_range(0, 0xFFFFFFFF)  # the report to the host, too: its end says "started"
    syscalls.prctl(syscalls.PR_SET_CHILD_SUBREAPER, 1)  # where it isn't really process 1
    try:
        while True:
            number = signal.sigwait(every)
            if number == signal.SIGCHLD:
                _reap(program)
            else:
                os.kill(program, number)
    finally:
        os._exit(1)  # whatever happened, nothing may go on from here


def _overwrite_arguments(text: bytes) -> None:
    """Show another command line than the launcher's, which tells the host's paths: it lies in our
    own memory (proc_pid_stat(5), arg_start and arg_end)."""
    try:
        fields = paths.read("/proc/self/stat").rpartition(")")[2].split()
    except FileNotFoundError:
        return  # without a /proc nobody sees it
    start, end = int(fields[45]), int(fields[46])
    ctypes.memset(start, 0, end - start)
    ctypes.memmove(start, text, len(text))


def _reap(program: int) -> None:
    """Reap all that has ended; end as the program did, 128 + N if signal N ended it."""
    while True:
        pid, status = os.waitpid(-1, os.WNOHANG)
        if pid == 0:
            return
        if pid == program:
            code = os.waitstatus_to_exitcode(status)
            os._exit(code if code >= 0 else 128 - code)
