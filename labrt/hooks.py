"""Hooks: programs of the engine's that are run at moments of a container's life.

| stage | when | where |
|---|---|---|
| prestart, createRuntime | all is mounted, before pivot_root | on the host |
| createContainer | right after them | in the container's namespaces; its path is the host's |
| startContainer | just before the program | in the container |
| poststart | just after execve(2) | on the host |
| poststop | when nothing is left of the container | on the host |

Each is told the container's state on its standard input, and has the environment that it is given
and no other. One that fails, or takes longer than it may, ends the container; but for poststop,
which can only be warned of.

https://github.com/opencontainers/runtime-spec/blob/main/config.md#posix-platform-hooks
"""

from __future__ import annotations

import json
import os
import select
import signal
from collections.abc import Sequence
from typing import Any, ClassVar, Literal, NoReturn

from labrt import syscalls
from labrt.errors import LabError, warn
from labrt.spec import Hook, Spec
from labrt.step import MET, Context, Side, Step

MAX_SAID = 4096  # bytes of a failed hook's output that are told on

Stage = Literal[
    "prestart", "createRuntime", "createContainer", "startContainer", "poststart", "poststop"
]


def run_all(
    stage: Stage, hooks: Sequence[Hook], spec: Spec, status: str, pid: int, folder: str | None
) -> None:
    """Run the hooks of a stage in order.

    Args:
        folder: where they are run, None for where we are.

    Raises:
        LabError: one failed; those after it aren't run.
    """
    for hook in hooks:
        run(stage, hook, spec.state(status, pid), folder)


def run(stage: Stage, hook: Hook, told: dict[str, Any], folder: str | None) -> None:
    """Run one hook and wait for its end.

    Raises:
        LabError: it could not be run, it ended with another status than 0, or not in time.
    """
    given, said = _memory(json.dumps(told).encode()), _memory(b"")
    try:
        if (pid := os.fork()) == 0:
            _become(hook, given, said, folder)
        in_time = _ended(pid, hook.timeout)
        status = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
        if status or not in_time:
            answer = f"it ended with {status}" if in_time else f"it took over {hook.timeout} s"
            output = os.pread(said, MAX_SAID, 0).decode(errors="replace").strip()
            raise LabError(f"run the {stage} hook {hook.path}", answer, output)
    finally:
        os.close(given)
        os.close(said)


def _memory(data: bytes) -> int:
    """A file that holds the data, and no pipe: a hook need not read it, nor its child end soon."""
    fd = os.memfd_create("hook", os.MFD_CLOEXEC)
    os.write(fd, data)
    os.lseek(fd, 0, os.SEEK_SET)
    return fd


def _become(hook: Hook, given: int, said: int, folder: str | None) -> NoReturn:
    """In the hook's process. Nothing of ours is handed on but the two files."""
    try:
        os.setpgid(0, 0)
        for number in (signal.SIGPIPE, signal.SIGXFSZ, signal.SIGINT):
            syscalls.signal_default(number)
        for target, fd in enumerate((given, said, said)):
            os.dup2(fd, target)
        syscalls.close_range(3, 0xFFFFFFFF, syscalls.CLOSE_RANGE_CLOEXEC)
        if folder:
            os.chdir(folder)
        environment = dict(entry.partition("=")[::2] for entry in hook.env)
        os.execve(hook.path, hook.args or (hook.path,), environment)
    except OSError as error:
        os.write(2, f"{error.strerror}: {hook.path}".encode())
    finally:
        os._exit(127)


def _ended(pid: int, timeout: int) -> bool:
    """Wait for the hook's end; kill it, and what it has started, where it takes too long."""
    pidfd = os.pidfd_open(pid)
    poll = select.poll()
    poll.register(pidfd, select.POLLIN)
    ended = bool(poll.poll(timeout * 1000 if timeout else None))
    if not ended:
        try:
            os.killpg(pid, signal.SIGKILL)
        except ProcessLookupError:
            os.kill(pid, signal.SIGKILL)  # it has not made its group yet
    os.close(pidfd)
    return ended


_SIDES: dict[Stage, Side] = {
    "prestart": "host",
    "createRuntime": "host",
    "createContainer": "container",
    "startContainer": "container",
}
_REASONS = {
    "prestart": "the engine finishes the container from outside, its network above all",
    "createRuntime": "the engine finishes the container from outside",
    "createContainer": "the engine finishes the container's mounts, with the host's programs",
    "startContainer": "the container's own preparation, such as ldconfig(8)",
}


class RunHook(Step):
    man: ClassVar = "execve(2)"

    def __init__(self, stage: Stage, hook: Hook) -> None:
        self.stage = stage
        self.hook = hook
        self.side: Side = _SIDES[stage]  # type: ignore[misc]  # one each
        self.reason = _REASONS[stage]  # type: ignore[misc]  # one each

    def describe(self) -> str:
        return f"run the {self.stage} hook {' '.join(self.hook.args or (self.hook.path,))}"

    def do(self, context: Context) -> None:
        spec = context.spec
        status = "created" if self.stage == "startContainer" else "creating"
        folder = spec.life.image if self.side == "host" else None
        pid = context.pid if self.side == "host" else os.getpid()
        run(self.stage, self.hook, spec.state(status, pid), folder)


class RunPoststop(Step):
    """The first step, so that its undo is the last."""

    side: ClassVar = "host"
    man: ClassVar = "execve(2)"
    reason: ClassVar = "the engine tidies up after the container"
    keeps: ClassVar = True

    def __init__(self, spec: Spec) -> None:
        self.spec = spec

    def describe(self) -> str:
        paths = ", ".join(hook.path for hook in self.spec.hooks.poststop)
        return f"nothing yet; when all else is undone, run the poststop hooks {paths}"

    def do(self, context: Context) -> None:
        pass

    def undo(self, context: Context) -> None:
        for hook in self.spec.hooks.poststop:
            try:
                run("poststop", hook, self.spec.state("stopped", 0), None)
            except LabError as error:
                warn(str(error))  # runtime.md: the others are run as if it had succeeded


class Meet(Step):
    """Host and child wait for each other once more."""

    side: ClassVar = "container"
    man: ClassVar = "pipe(2)"
    reason: ClassVar = "hooks of the host's find all mounted, and the host's tree still in place"
    vital: ClassVar = "the host would wait for ever"

    def describe(self) -> str:
        return "tell the host that all is mounted; wait until its hooks have run"

    def do(self, context: Context) -> None:
        os.write(context.report, MET)
        if os.read(context.go, 2) != b"go":
            os._exit(1)  # a hook failed; the host undoes


class AwaitMounts(Step):
    side: ClassVar = "host"
    man: ClassVar = "pipe(2)"
    reason: ClassVar = "hooks may look at the container's mounts, and add to them"
    vital: ClassVar = "the child would wait for ever"
    meets: ClassVar = True

    def describe(self) -> str:
        return "let the child go on; wait until it has mounted all"

    def do(self, context: Context) -> None:
        pass  # `perform` has the pipes
