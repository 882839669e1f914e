"""The library: containers for notebooks and the bench, from any process, threaded or not.

with labrt.run("busybox", ["sleep", "60"], memory="256m") as c:
    print(c.pid, c.cgroup.memory())
"""

from __future__ import annotations

import atexit
import os
import select
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from sysconfig import get_path
from typing import Any

from labrt import paths
from labrt.cgroups import Cgroup
from labrt.declare import declare
from labrt.errors import LabError
from labrt.images import store
from labrt.launcher import receive, send
from labrt.options import given
from labrt.perform import Timed
from labrt.spec import Spec

# No start and no undoing takes that long on a host that works; a run must not wait for ever.
ANSWER_SECONDS = 60.0
_SILENT = (
    "wait for the launcher",
    f"no answer within {ANSWER_SECONDS:g} s",
    "the host is overloaded, or a process can't be killed",
    "./lab clean, then retry",
)

# -I -S: no environment, no site packages but those named; a small launcher clones fast.
_START = "import sys; sys.path[:0] = sys.argv[1:]; from labrt.launcher import main; main()"


class LauncherProcess:
    """A running launcher that belongs to this process and dies with it."""

    def __init__(self) -> None:
        self._folder = tempfile.mkdtemp(prefix="launcher-", dir=paths.run_dir())
        self.address = f"{self._folder}/socket"
        with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as listener:
            listener.bind(self.address)
            listener.listen(128)
            self._process = self._spawn(listener)
        self._owner = os.getpid()

    def _spawn(self, listener: socket.socket) -> subprocess.Popen[bytes]:
        root = str(Path(__file__).parent.parent)
        # The child gets the listener as descriptor 3, whatever its number is here.
        move = f"import os; os.dup2({listener.fileno()}, 3); " if listener.fileno() != 3 else ""
        return subprocess.Popen(
            [sys.executable, "-I", "-S", "-c", move + _START, root, get_path("purelib")],
            stdin=subprocess.PIPE,
            pass_fds=[listener.fileno()],
            process_group=0,
        )

    @property
    def pid(self) -> int:
        return self._process.pid

    def alive(self) -> bool:
        return self._owner == os.getpid() and self._process.poll() is None

    def close(self) -> None:
        """End every container it serves, then the launcher."""
        if self._owner != os.getpid():
            return  # a forked child inherited the object, not the launcher
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait()
        shutil.rmtree(self._folder)


_launcher: LauncherProcess | None = None
_lock = threading.Lock()


@atexit.register
def _close_at_exit() -> None:
    close_launcher()


def launcher() -> LauncherProcess:
    """Return this process's launcher, started on first use."""
    global _launcher
    with _lock:
        if _launcher is not None and not _launcher.alive():
            _launcher.close()
            _launcher = None
        if _launcher is None:
            _launcher = LauncherProcess()
        return _launcher


def close_launcher() -> None:
    """End this process's launcher and its containers; the next container starts another."""
    global _launcher
    with _lock:
        if _launcher is not None:
            _launcher.close()
        _launcher = None


class Container:
    """A container started by the launcher. Leaving the `with` block ends it and undoes everything.

    Attributes:
        spec: what was declared.
        pid: host pid of its first process.
        called, cloned: when `run` was called and clone3(2) returned, CLOCK_MONOTONIC ns.
        trace: every step with its time.
        exit_code: None until it has ended.
    """

    def __init__(self, spec: Spec, stdio: tuple[int, int, int], called: int | None = None) -> None:
        self.spec = spec
        self.called = time.monotonic_ns() if called is None else called
        self.exit_code: int | None = None
        self._connection = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._pidfd = -1
        self._undone = False
        self._lost = False  # whether the launcher ended before the container was undone
        try:
            self._connection.connect(launcher().address)
            self._connection.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1 << 20)
            send(self._connection, {"spec": spec}, stdio)
            if not self._readable(ANSWER_SECONDS):
                raise LabError(*_SILENT)
            message, fds = receive(self._connection)
            self._started(message, fds)
        except BaseException:
            self._connection.close()
            raise

    def _started(self, message: dict[str, Any] | None, fds: list[int]) -> None:
        if message is None:
            raise LabError(
                "start a container", "the launcher ended", remedy="./lab clean, then retry"
            )
        if "error" in message:
            raise LabError(*message["error"])
        started = message["started"]
        (self._pidfd,) = fds
        self.pid: int = started["pid"]
        self.cloned: int = started["cloned"]
        self.trace = [Timed(*timed) for timed in started["trace"]]

    @property
    def id(self) -> str:
        return self.spec.id

    @property
    def cgroup(self) -> Cgroup | None:
        """Its cgroup, or None where the host gives this user none."""
        return Cgroup(self.spec.cgroup) if self.spec.cgroup else None

    def wait(self, timeout: float | None = None) -> int | None:
        """Wait until its first process has ended; None if `timeout` seconds passed before.

        Returns:
            The exit code, 128 + N if signal N ended it.
        """
        if self.exit_code is None:
            message = self._next(timeout)
            self.exit_code = None if message is None else message["exited"]
        return self.exit_code

    def wait_undone(self) -> None:
        """Wait until it has ended and nothing of it is left on the host.

        Raises:
            LabError: something could not be undone, or the launcher doesn't answer.
        """
        self.wait()
        if self._undone:
            return
        message = self._next(ANSWER_SECONDS)
        if message is None:
            self._lost = True
            raise LabError(*_SILENT)
        self._undone = True
        if message["undone"]:
            raise LabError(*message["undone"])

    def _next(self, timeout: float | None) -> dict[str, Any] | None:
        if not self._readable(timeout):
            return None
        message, _fds = receive(self._connection)
        if message is None:
            self._lost = True
            raise LabError("wait for a container", "the launcher ended", remedy="./lab clean")
        return message

    def _readable(self, timeout: float | None) -> bool:
        poll = select.poll()
        poll.register(self._connection, select.POLLIN)
        return bool(poll.poll(None if timeout is None else timeout * 1000))

    def signal(self, number: int) -> None:
        """Send a signal to its first process; content to find it ended."""
        try:
            send(self._connection, {"signal": number})
        except BrokenPipeError:
            pass  # the launcher ended, and its containers with it

    def stop(self, timeout: float = 10.0) -> int:
        """Ask it to end (SIGTERM), kill it after `timeout` seconds, wait until nothing is left.

        Returns:
            The exit code.
        """
        if self.exit_code is None:
            self.signal(signal.SIGTERM)
            self.wait(timeout)
        return self.kill()

    def kill(self) -> int:
        """End it by force where it still runs, wait until nothing is left; return the exit code."""
        if self.exit_code is None:
            self.signal(signal.SIGKILL)
            if self.wait(ANSWER_SECONDS) is None:
                raise LabError(*_SILENT)
        self.wait_undone()
        assert self.exit_code is not None
        return self.exit_code

    def close(self) -> None:
        """End it and release everything; may be called again."""
        try:
            if self._connection.fileno() >= 0 and not self._lost:
                self.kill()
        finally:
            self._connection.close()
            if self._pidfd >= 0:
                os.close(self._pidfd)
                self._pidfd = -1

    def __enter__(self) -> Container:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()


def run(
    image: str,
    args: Sequence[str] = (),
    *,
    stdin: int | None = None,
    stdout: int | None = None,
    stderr: int | None = None,
    **options: Any,
) -> Container:
    """Start a container and return at once.

    Args:
        image: its name in the store.
        args: program and arguments; default: what the image runs.
        stdin, stdout, stderr: descriptors; default: /dev/null for input, this process's for output.
        options: any of `labrt.options.Options`: memory="256m", cpus=1, read_only=True, …

    Raises:
        LabError: it could not be started; nothing is left behind.
    """
    called = time.monotonic_ns()
    spec = declare(store.resolve(image), args, given(**options))
    with open(os.devnull, "rb") as null:
        chosen = (
            null.fileno() if stdin is None else stdin,
            1 if stdout is None else stdout,
            2 if stderr is None else stderr,
        )
        return Container(spec, chosen, called)


def output(image: str, args: Sequence[str], timeout: float = 30.0, **options: Any) -> str:
    """Run a container to its end and return what it wrote (standard output and error).

    Raises:
        LabError: it could not be started, or had not ended after `timeout` seconds.
    """
    with tempfile.TemporaryFile() as file:
        fd = file.fileno()
        with run(image, args, stdout=fd, stderr=fd, **options) as container:
            if container.wait(timeout) is None:
                raise LabError(f"run {' '.join(args)}", f"still running after {timeout:g} s")
        file.seek(0)
        return file.read().decode(errors="replace")
