"""What a step is: one change to the machine that can tell, do and undo itself.

A container is a list of steps (`labrt/recipe.py`). Each step lives in the file of its kernel
feature. Host-side steps run in the process that starts the container; container-side steps run in
the child that becomes the container's first process.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, ClassVar, Literal, TypeVar

from labrt import calls
from labrt.accounts import Account
from labrt.calls import Call
from labrt.spec import Spec

if TYPE_CHECKING:
    from subprocess import Popen

MET = b"met:"  # what the child writes where both sides meet once more
Side = Literal["host", "container"]


@dataclass
class Context:
    """What the steps of one start hand on to each other.

    Attributes:
        spec: the container's declared form; never changed by a step.
        pid: host pid of the first process, 0 before `Clone`. In the child it stays 0.
        pidfd: a file descriptor for that process (pidfd_open(2)), -1 before `Clone`.
        cloned: when clone3(2) had returned in the host, CLOCK_MONOTONIC ns.
        lock: the open lock file that tells others this container has a living owner, or -1.
        go: the child's end of the pipe through which the host says that it has done its part.
        report: the child's end of the pipe that it reports by, or -1.
        start: the FIFO that a container waits on until it is started, or -1.
        failure: where it tells, once it was started, why its program could not begin; or -1.
        terminal: in the child, its terminal, once `BindConsole` has opened it, or -1.
        attributes: in the child, /proc/self/attr/exec up to `SetLabel`, or -1.
        listener: in the child, the socket of who supervises its system calls, or -1.
        host_pid: in the child, its pid as the host numbers it, from `ConnectSupervisor` on.
        host_root: in the child, the host's "/" (O_PATH), from `PivotRoot` to `DetachOldRoot`.
        own_fds: in the child, the host's /proc/self/fd (O_PATH), which tells where a descriptor is.
        sources: target of a bind mount → descriptors of what is to be mounted there, in order.
        console: the two ends of the socket that the terminal's master comes by, or nothing.
        stdio: the file descriptors that become the container's 0, 1 and 2.
        account: whom the program runs as, from `SwitchUser` on.
        program: what the child does, where it is nothing but calls.
        filter: flags and program for seccomp(2), from `CompileSeccomp` on.
        address: its address and prefix in its network, "10.201.0.2/20", from `JoinNetwork` on.
        gateway: the bridge's address there.
        state_dir: in the child, the container's folder (O_PATH) up to `BindNameFiles`.
        placeholder: what keeps a scope of systemd's until the container's process does, or None.
    """

    spec: Spec
    pid: int = 0
    pidfd: int = -1
    cloned: int = 0
    lock: int = -1
    go: int = -1
    report: int = -1
    start: int = -1
    failure: int = -1
    terminal: int = -1
    attributes: int = -1
    listener: int = -1
    host_pid: int = 0
    host_root: int = -1
    own_fds: int = -1
    sources: dict[str, list[int]] = field(default_factory=dict)
    console: tuple[int, ...] = ()
    stdio: tuple[int, int, int] = (0, 1, 2)
    account: Account = Account(0, 0, (), "/")
    program: calls.Program | None = None
    filter: tuple[int, bytes] = (0, b"")
    address: str = ""
    gateway: str = ""
    state_dir: int = -1
    placeholder: Popen[bytes] | None = None


S = TypeVar("S", bound="Step")


def constant(
    calls_of: Callable[[S, Context], Sequence[Call] | None],
) -> Callable[[S, Context], Sequence[Call] | None]:
    """Mark `Step.calls` as always the same for a step, so that they are worked out once."""

    def once(step: S, context: Context) -> Sequence[Call] | None:
        if not hasattr(step, "_constant_calls"):
            found = calls_of(step, context)
            step._constant_calls = None if found is None else calls.Calls(found)
        return step._constant_calls

    return once


class Step:
    """One kernel call (or a few that make no sense apart).

    Class attributes:
        side: which process does it.
        man: the man page, "mount(2)".
        reason: why a container needs it, one sentence.
        vital: why it can't be left out (`--skip`), "" where it can.
        keeps: what it makes outlives the container's end, until the container is removed.
        parting: container side; the host isn't told any more how it went.
        meets: host side; before it, the child goes on up to where it waits for the host once more.

    `undo` may be called for a step that was never done, or done in another process, long ago: it
    looks at the machine, puts back what it finds, and is content to find nothing.
    """

    side: ClassVar[Side]
    man: ClassVar[str]
    reason: ClassVar[str]
    vital: ClassVar[str] = ""
    keeps: ClassVar[bool] = False
    parting: ClassVar[bool] = False
    meets: ClassVar[bool] = False

    @property
    def name(self) -> str:
        return type(self).__name__

    def describe(self) -> str:
        """Say what `do` will do, with its arguments, in one line."""
        raise NotImplementedError

    _constant_calls: calls.Calls | None

    def calls(self, context: Context) -> Sequence[Call] | None:
        """Return the system calls that `do` is, on either side; None where it takes more. What they
        return by the name of one of the context's attributes is kept there."""
        return None

    def do(self, context: Context) -> None:
        """Change the machine: by default, perform the calls.

        Raises:
            OSError or LabError: the kernel's answer; `perform` adds step and remedy.
        """
        performed = self.calls(context)
        assert performed is not None, f"{self.name} does nothing"
        calls.perform(performed)
        for each in performed:
            if each.result and hasattr(context, each.result):
                setattr(context, each.result, calls.result(each.result))

    def undo(self, context: Context) -> None:
        """Put the machine back. Most container-side steps need nothing: the kernel undoes them
        when the namespace's last process ends."""

    def likely(self, error: OSError) -> tuple[str, str]:
        """Return (the likely cause on this host, the remedy) of a failed `do`; "" if unknown."""
        return "", ""
