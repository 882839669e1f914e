"""Performing a list of steps: in order, across the clone; backwards to undo; timed throughout.

The list is cut at `Clone`. What stands before it and the host-side steps after it run here, while
the child runs its own, side by side up to `WaitForHost`. The child reports through a second pipe: a
trace and the word "exec" just before execve(2), or the failure. Both pipes are close-on-exec, so
their end of file is the event to wait for.
"""

from __future__ import annotations

import errno
import json
import os
import signal
import time
from array import array
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, NamedTuple, NoReturn

from labrt import calls
from labrt.errors import LabError, errno_text
from labrt.namespaces import Clone
from labrt.step import MET, Context, Side, Step

# What the child's report begins with: its times, then, where a step failed or execve(2) itself did,
# what failed (JSON).
EXEC = b"exec:"
FAILED = b"failed:"


class Timed(NamedTuple):
    """One performed step: when it began (CLOCK_MONOTONIC, ns) and how long it took (ns)."""

    name: str
    side: Side
    start: int
    duration: int


class StepFailed(LabError):
    """A step of the recipe failed. `errno` is the kernel's answer, 0 if it was not the kernel's."""

    def __init__(self, step: Step, error: OSError | LabError) -> None:
        if isinstance(error, LabError):
            super().__init__(f"{step.name}: {error.tried}", error.answer, error.cause, error.remedy)
        else:
            cause, remedy = step.likely(error)
            if error.errno == errno.ENOSPC:
                remedy = remedy or "free some room"
            told = f"{step.name}: {step.describe()}"
            super().__init__(told, errno_text(error), cause, remedy)
            self.errno = error.errno or 0
        self.step = step
        self.step_name = step.name


# Called before each step with the step; a test's way to fail or die there, on either side.
Hook = Callable[[Step], None]


def no_hook(step: Step) -> None:
    pass


def perform(steps: list[Step], context: Context, hook: Hook = no_hook, done: int = 0) -> array[int]:
    """Do the steps up to the execve(2) of the container's program.

    Args:
        done: how many of them were done before; they are undone with the others.

    Returns:
        When each step but the last began and how long it took, in the order of the list:
        CLOCK_MONOTONIC ns, int64, in pairs. Bare numbers, for objects told on as JSON would cost
        6 % of a start; `trace` puts the names to them.

    Raises:
        StepFailed: all that had been done is undone.
        LabError: the child was killed on its way; all is undone as well.
    """
    at = next(index for index, step in enumerate(steps) if isinstance(step, Clone))
    inside = [step for step in steps[at:] if step.side == "container"]
    finishing = [step for step in steps[at + 1 :] if step.side == "host"]
    times = array("q")
    try:
        for step in steps[done:at]:
            times.extend(_do(step, context, hook))
        with _Pipe() as go, _Pipe() as report:
            context.go, context.report = go.reader, report.writer
            context.program = program(inside, context) if hook is no_hook else None
            times.extend(_do(steps[at], context, hook))
            if context.pid == 0:
                _run_inside(inside, context, hook, go, report)
            go.close_reader()
            report.close_writer()
            times.extend(_finish(finishing, inside, context, hook, go, report))
    except BaseException:
        undo(steps, context)
        raise
    return times


def program(inside: list[Step], context: Context) -> calls.Program | None:
    """Return what the child does as a program; None where a step takes more than calls.

    Raises:
        StepFailed: a step can't be done.
    """
    if any(type(step).calls is Step.calls for step in inside):
        return None  # known without working out the others'
    parts = []
    for step in inside:
        try:
            performed = step.calls(context)
        except (OSError, LabError) as error:
            raise StepFailed(step, error) from error
        if performed is None:
            return None
        parts.append(performed if isinstance(performed, calls.Calls) else calls.Calls(performed))
    parting = next((index for index, step in enumerate(inside) if step.parting), len(inside) - 1)
    return calls.Program(parts, parting)


def trace(steps: Sequence[Step], times: Sequence[int]) -> list[Timed]:
    """Return what `perform` measured, both sides, in order of time."""
    pairs = zip(steps, times[::2], times[1::2], strict=False)
    timed = [Timed(step.name, step.side, start, duration) for step, start, duration in pairs]
    return sorted(timed, key=lambda one: one.start)


def _finish(
    finishing: list[Step],
    inside: list[Step],
    context: Context,
    hook: Hook,
    go: _Pipe,
    report: _Pipe,
) -> array[int]:
    """Host side: do what only the host may do to the child, let it go on, take its report."""
    try:
        times = array("q")
        for step in finishing:
            if step.meets:
                _meet(inside, go, report, context.program)
            times.extend(_do(step, context, hook))
        go.write(b"go")
        go.close_writer()
    except StepFailed:
        go.close_writer()
        _raise_failure(
            inside, report.read_all(), context.program
        )  # the child's own failure may be the cause
        if _was_killed(context):  # nothing could be done to it any more
            raise _killed() from None
        raise
    ahead = round(context.spec.time_offsets.get("monotonic", 0) * 10**9)
    return times + _outcome(inside, report.read_all(), ahead, context.program)


def _meet(inside: list[Step], go: _Pipe, report: _Pipe, program: calls.Program | None) -> None:
    """Host side: let the child go on, up to where it waits again.

    Raises:
        StepFailed, LabError: as `perform`.
    """
    go.write(b"go")
    told = report.read(len(MET))
    if told != MET:
        _outcome(inside, told + report.read_all(), 0, program)


def do_all(steps: list[Step], context: Context) -> None:
    """Do host-side steps that need no clone.

    Raises:
        StepFailed: all that had been done is undone.
    """
    try:
        for step in steps:
            _do(step, context, no_hook)
    except BaseException:
        undo(steps, context)
        raise


def undo(steps: list[Step], context: Context) -> None:
    """Undo the steps backwards, not to be interrupted. Every one is tried; the first failure is
    raised at the end.

    Raises:
        StepFailed: the kernel refused an undo.
    """
    failed: StepFailed | None = None
    with _signals_held():
        for step in reversed(steps):
            try:
                step.undo(context)
            except (OSError, LabError) as error:
                failed = failed or StepFailed(step, error)
    if failed:
        raise failed


@contextmanager
def _signals_held() -> Iterator[None]:
    """Hold back the signals that ask a process to end; they arrive when the block is left."""
    asking = {signal.SIGINT, signal.SIGTERM, signal.SIGHUP}
    before = signal.pthread_sigmask(signal.SIG_BLOCK, asking)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _do(step: Step, context: Context, hook: Hook) -> tuple[int, int]:
    start = time.monotonic_ns()
    try:
        hook(step)
        step.do(context)
    except (OSError, LabError) as error:
        raise StepFailed(step, error) from error
    return start, time.monotonic_ns() - start


def _run_inside(
    steps: list[Step], context: Context, hook: Hook, go: _Pipe, report: _Pipe
) -> NoReturn:
    """Container side: do the steps; never return into the host's code."""
    step = steps[0]
    try:
        go.close_writer()
        report.close_reader()
        if context.program:
            context.program.perform(report.writer)
        times = array("q")
        parting = next((step for step in steps if step.parting), steps[-1])
        for step in steps:
            if step is parting:
                os.write(report.writer, EXEC + times.tobytes())
            if step.parting:  # from here on it is nobody's; its creator need not let go first
                os.close(context.lock)
                report.become(context.failure)
            start = time.monotonic_ns()
            hook(step)
            step.do(context)
            times.extend((start, time.monotonic_ns() - start))
    except OSError as error:
        report.write_failure({"failed": steps.index(step), "errno": error.errno})
    except LabError as error:
        report.write_failure({"failed": steps.index(step), "told": error.args})
    except BaseException as error:
        report.write_failure({"failed": steps.index(step), "told": [repr(error), "", "", ""]})
    finally:
        os._exit(1)  # nothing may escape into the host's code


def _outcome(
    steps: list[Step], report: bytes, ahead: int, program: calls.Program | None
) -> array[int]:
    """Host side: read what the child reported; its silence means it was killed.

    Args:
        ahead: by how much the child's clock is ahead of ours, ns (time_namespaces(7)).

    Raises:
        StepFailed, LabError: as `perform`.
    """
    _raise_failure(steps, report, program)
    if not report:
        raise _killed()
    times = array("q", report.removeprefix(EXEC))
    if ahead:
        times[::2] = array("q", (start - ahead for start in times[::2]))
    return times


def _was_killed(context: Context) -> bool:
    """Whether the child, which has let go of its pipes, ended by a signal. It isn't reaped."""
    try:
        ended = os.waitid(os.P_PIDFD, context.pidfd, os.WEXITED | os.WNOWAIT)
    except ChildProcessError:
        return False  # the child of who has cloned it for us, and we can't know
    return ended is not None and ended.si_code in (os.CLD_KILLED, os.CLD_DUMPED)


def _killed() -> LabError:
    return LabError(
        "start the container",
        "its first process was killed before it became the program",
        "out of memory, or memory.max is below what the start itself needs",
        "raise the memory limit",
    )


def raise_late(steps: list[Step], report: bytes) -> None:
    """Raise the failure that a container reported after its creator had left, if it did."""
    at = next(index for index, step in enumerate(steps) if isinstance(step, Clone))
    _raise_failure([step for step in steps[at:] if step.side == "container"], report, None)


def _raise_failure(steps: list[Step], report: bytes, program: calls.Program | None) -> None:
    """Raise the failure that the child reported, if it did: of a step, or of execve(2) at last."""
    _, failed, told = report.partition(FAILED)
    if not failed:
        return
    message = json.loads(told)
    step = steps[message["failed"]]
    if "told" in message:
        raise StepFailed(step, LabError(*message["told"]))
    if program:
        raise StepFailed(step, program.failure(*message.values()))
    raise StepFailed(step, OSError(message["errno"], os.strerror(message["errno"])))


class _Pipe:
    """pipe(2) between host and child; each side closes the end it doesn't use."""

    def __init__(self) -> None:
        self.reader, self.writer = os.pipe2(os.O_CLOEXEC)

    def __enter__(self) -> _Pipe:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close_reader()
        self.close_writer()

    def close_reader(self) -> None:
        if self.reader >= 0:
            os.close(self.reader)
            self.reader = -1

    def close_writer(self) -> None:
        if self.writer >= 0:
            os.close(self.writer)
            self.writer = -1

    def become(self, writer: int) -> None:
        """Write elsewhere from now on."""
        self.close_writer()
        self.writer = writer

    def write_failure(self, message: dict[str, Any]) -> None:
        os.write(self.writer, FAILED + json.dumps(message).encode())

    def write(self, data: bytes) -> None:
        try:
            os.write(self.writer, data)
        except OSError as error:
            if error.errno != errno.EPIPE:  # the child died; the report's silence will tell
                raise

    def read(self, count: int) -> bytes:
        return os.read(self.reader, count)

    def read_all(self) -> bytes:
        parts: list[bytes] = []
        while part := os.read(self.reader, 65536):
            parts.append(part)
        return b"".join(parts)
