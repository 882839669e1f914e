"""The library: containers for notebooks and the bench, from any process, threaded or not.

with labrt.run("busybox", ["sleep", "60"], memory="256m") as c:
    print(c.pid, c.cgroup.memory())
"""

from __future__ import annotations

import os
import signal
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from labrt import container
from labrt.declare import declare
from labrt.errors import LabError
from labrt.handle import Handle
from labrt.images import store
from labrt.launching import Launched
from labrt.options import given
from labrt.perform import Timed, trace
from labrt.recipe import recipe
from labrt.spec import Spec


class Container(Launched, Handle):
    """A container that this process runs. Leaving the `with` block ends it and undoes everything.

    Attributes:
        called: when `run` was called, CLOCK_MONOTONIC ns.
    """

    def __init__(self, spec: Spec, stdio: tuple[int, int, int], called: int | None = None) -> None:
        self.called = time.monotonic_ns() if called is None else called
        self._spec = spec
        Handle.__init__(self, Path(spec.state_dir))
        Launched.__init__(self, {"spec": spec}, stdio)

    @property
    def spec(self) -> Spec:
        """What was declared."""
        return self._spec

    @property
    def trace(self) -> list[Timed]:
        """Every step but the last, execve(2), with its time."""
        return trace(recipe(self.spec), self._times)

    def stop(self, timeout: float | None = None) -> int:
        """Ask it to end, kill it after `timeout` seconds (default: as declared), wait until nothing
        is left.

        Returns:
            The exit code.
        """
        if self.exit_code is None:
            self.signal(signal.Signals[self.spec.life.stop_signal])
            self.wait(self.spec.life.stop_timeout if timeout is None else timeout)
        return self.kill()


def run(
    image: str,
    args: Sequence[str] = (),
    *,
    stdin: int | None = None,
    stdout: int | None = None,
    stderr: int | None = None,
    **options: Any,
) -> Container:
    """Start a container and return at once. Nothing of it stays when it ends, as with --rm.

    Args:
        image: its name in the store.
        args: program and arguments; default: what the image runs.
        stdin, stdout, stderr: descriptors; default: /dev/null for input, this process's for output.
        options: any of `labrt.options.Options`: memory="256m", cpus=1, read_only=True, …

    Raises:
        LabError: it could not be started; nothing is left behind.
    """
    called = time.monotonic_ns()
    wishes = given(**{**options, "rm": True})
    if wishes.detach:
        raise LabError("detach a container that run() ends", remedy="labrt.create(…).start()")
    spec = declare(store.resolve(image), args, wishes)
    with open(os.devnull, "rb") as null:
        chosen = (
            null.fileno() if stdin is None else stdin,
            1 if stdout is None else stdout,
            2 if stderr is None else stderr,
        )
        return Container(spec, chosen, called)


def create(image: str, args: Sequence[str] = (), **options: Any) -> Handle:
    """Make a container that outlives this process; `start` starts it, `remove` removes it.

    Args:
        image, args, options: as of `run`.

    Raises:
        LabError: it could not be made; nothing is left behind.
    """
    spec = declare(store.resolve(image), args, given(**{**options, "detach": True}))
    container.create(spec)
    return Handle(Path(spec.state_dir))


def output(image: str, args: Sequence[str], timeout: float = 30.0, **options: Any) -> str:
    """Run a container to its end and return what it wrote (standard output and error).

    Raises:
        LabError: it could not be started, or had not ended after `timeout` seconds.
    """
    with tempfile.TemporaryFile() as file:
        fd = file.fileno()
        with run(image, args, stdout=fd, stderr=fd, **options) as running:
            if running.wait(timeout) is None:
                raise LabError(f"run {' '.join(args)}", f"still running after {timeout:g} s")
        file.seek(0)
        return file.read().decode(errors="replace")
