"""Launching: the way to a launcher from any process, threaded or not.

Either to one of this process's own, which ends with it, or to the one that all of this user's
processes share, which cares for detached containers. Both are started when first needed. The
messages are told in `launcher.py`.
"""

from __future__ import annotations

import atexit
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import threading
from pathlib import Path
from sysconfig import get_path
from typing import Any, Self

from labrt import interpreter, paths, state
from labrt.child import readable
from labrt.errors import LabError
from labrt.launcher import fork_server_address, receive, send, shared_address, shared_lock
from labrt.sealed import sealed_copy

# No start and no undoing takes that long on a host that works; a run must not wait for ever.
ANSWER_SECONDS = 60.0
_SILENT = (
    "wait for the launcher",
    f"no answer within {ANSWER_SECONDS:g} s",
    "the host is overloaded, or a process can't be killed",
    "./lab clean, then retry",
)

# The listener becomes descriptor 3, whatever its number is here; what follows are our own paths.
# -I -S: no environment, no site packages but those named; a small launcher clones fast.
_START = """import os, sys
from importlib import import_module
module, kind, listener, *paths = sys.argv[1:]
os.dup2(int(listener), 3)
os.closerange(4, 64)
sys.path[:0] = paths
import_module(module).main(kind)"""


def _spawn(
    kind: str, listener: socket.socket, module: str = "labrt.launcher", **how: Any
) -> subprocess.Popen[bytes]:
    """Start a launcher that serves `listener`; `how` as subprocess.Popen knows it."""
    root = str(Path(__file__).parent.parent)
    arguments = [module, kind, str(listener.fileno()), root, _packages()]
    seal = sealed_copy() if interpreter.needs_seal() else -1
    try:
        return subprocess.Popen(
            [sys.executable, "-I", "-S", "-c", _START, *arguments],
            executable=sys.executable if seal < 0 else f"/proc/self/fd/{seal}",
            pass_fds=[listener.fileno(), *([seal] if seal >= 0 else [])],
            **how,
        )
    finally:
        if seal >= 0:
            os.close(seal)


def _packages() -> str:
    """Return the folder where this process finds the lab's packages: by sys.path, for a Python with
    -S, such as a fork server's, doesn't know that it is a virtual environment's."""
    own = (folder for folder in sys.path if folder.endswith(("/site-packages", "/dist-packages")))
    return next(own, get_path("purelib"))


def _listen(address: str) -> socket.socket:
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    listener.bind(address)
    listener.listen(128)
    return listener


class LauncherProcess:
    """A running launcher that belongs to this process and dies with it."""

    def __init__(self) -> None:
        self._folder = tempfile.mkdtemp(prefix="launcher-", dir=paths.run_dir())
        self.address = f"{self._folder}/socket"
        with _listen(self.address) as listener:
            self._process = _spawn("private", listener, stdin=subprocess.PIPE, process_group=0)
        self._owner = os.getpid()

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
        if os.path.exists(self._folder):  # ./lab clean, meanwhile, takes it along
            shutil.rmtree(self._folder)


_launcher: LauncherProcess | None = None
_lock = threading.Lock()


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


@atexit.register
def close_launcher() -> None:
    """End this process's launcher and its containers; the next container starts another."""
    global _launcher
    with _lock:
        if _launcher is not None:
            _launcher.close()
        _launcher = None


class Connection:
    """One request to a launcher, and what it tells of it."""

    def __init__(self, way: socket.socket) -> None:
        self._way = way
        self.lost = False  # whether the launcher has ended

    @staticmethod
    def private() -> Connection:
        """Connect to this process's own launcher."""
        way = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        try:
            way.connect(launcher().address)
        except ConnectionRefusedError:  # it is just ending: somebody has asked it to
            close_launcher()
            way.connect(launcher().address)
        return Connection(way)

    @staticmethod
    def shared() -> Connection:
        """Connect to the launcher that this user's processes share; start it where none runs.

        The lock is held meanwhile: so a launcher that is about to end stays, or has ended.
        """
        lock = state.lock_file(shared_lock())
        assert lock is not None, "it was waited for"
        try:
            return Connection(_to_shared())
        finally:
            os.close(lock)

    def ask(self, message: dict[str, Any], fds: tuple[int, ...] = ()) -> tuple[Any, list[int]]:
        """Send a request; return the answer's content and descriptors.

        Raises:
            LabError: the launcher could not do it, has ended or doesn't answer.
        """
        self._way.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1 << 20)
        send(self._way, message, fds)
        if not self.readable(ANSWER_SECONDS):
            raise LabError(*_SILENT)
        answer, came = self._receive()
        if "error" in answer:
            raise _failure(answer)
        return next(iter(answer.values())), came

    def next(self, timeout: float | None) -> dict[str, Any] | None:
        """Return what the launcher tells next, None if `timeout` seconds passed before.

        Raises:
            LabError: it has ended.
        """
        return self._receive()[0] if self.readable(timeout) else None

    def _receive(self) -> tuple[dict[str, Any], list[int]]:
        message, fds = receive(self._way)
        if message is None:
            self.lost = True
            raise LabError(
                "wait for a container", "the launcher ended", remedy="./lab clean, then retry"
            )
        return message, fds

    def readable(self, timeout: float | None) -> bool:
        """Whether the launcher tells something within `timeout` seconds."""
        return readable(self._way.fileno(), timeout)

    def tell(self, message: dict[str, Any]) -> None:
        """Send a message that isn't answered; content to find the launcher ended."""
        try:
            send(self._way, message)
        except BrokenPipeError:
            pass

    def close(self) -> None:
        self._way.close()

    @property
    def closed(self) -> bool:
        return self._way.fileno() < 0

    def __enter__(self) -> Connection:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()


def _failure(answer: dict[str, Any]) -> LabError:
    error = LabError(*answer["error"])
    error.errno, error.step_name = answer["errno"] or 0, answer["step_name"]
    return error


def _to_shared() -> socket.socket:
    address = str(shared_address())
    way = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    try:
        way.connect(address)
    except (FileNotFoundError, ConnectionRefusedError):  # none runs, or it was killed
        Path(address).unlink(missing_ok=True)
        with _listen(address) as listener:
            _spawn_to_stay("shared", listener)
        way.connect(address)
    return way


def _spawn_to_stay(kind: str, listener: socket.socket, module: str = "labrt.launcher") -> None:
    """In a session of its own: no Ctrl-C and no closed terminal ends it."""
    how: dict[str, Any] = {"stdin": subprocess.DEVNULL, "stdout": subprocess.DEVNULL, "cwd": "/"}
    with open(paths.run_dir() / "launcher.log", "ab") as log:
        process = _spawn(kind, listener, module, stderr=log, start_new_session=True, **how)
    process.returncode = 0  # it outlives us; nobody here is to wait for it


def close_shared() -> None:
    """End the shared launcher, where one runs, and the containers it cares for."""
    _end(shared_address())


def start_fork_server() -> None:
    """Start this user's fork server (forkserver.py), in the place of one that runs. It isn't waited
    for: who asks it before it has read its modules is answered then."""
    end_fork_server()
    with _listen(str(fork_server_address())) as listener:
        _spawn_to_stay("commands", listener, "labrt.forkserver")


def fork_server_runs() -> bool:
    """Whether this user's fork server answers."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as way:
        return way.connect_ex(str(fork_server_address())) == 0


def end_fork_server() -> bool:
    """End this user's fork server and the commands it is doing; return whether one ran."""
    ran = _end(fork_server_address())
    fork_server_address().unlink(missing_ok=True)
    return ran


def _end(address: Path) -> bool:
    """End the launcher that listens there; return whether one did."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as way:
        try:
            way.connect(str(address))
        except (FileNotFoundError, ConnectionRefusedError):
            return False
        send(way, {"end": True})
        readable(way.fileno(), ANSWER_SECONDS)  # it hangs up when all is done
        return True


class Launched:
    """A process in a container that a launcher has started for us. It ends with the `with` block.

    Attributes:
        pid: its host pid.
        cloned: when clone3(2) returned, CLOCK_MONOTONIC ns.
        terminal: the master end of its terminal, -1 if it has none.
        exit_code: None until it has ended.
        oom_killed: whether, by then, the kernel had killed something of its container for want of
            memory.
    """

    def __init__(self, request: dict[str, Any], stdio: tuple[int, int, int]) -> None:
        """Ask for it; `stdio` become its standard input, output and error."""
        self.exit_code: int | None = None
        self.oom_killed = False
        self.terminal = -1
        self._pidfd = -1
        self._undone = False
        self._connection = Connection.private()
        try:
            started, fds = self._connection.ask(request, stdio)
        except BaseException:
            self._connection.close()
            raise
        self._pidfd, *rest = fds
        if rest:
            self.terminal = rest[0]
        self.pid: int = started["pid"]
        self.cloned: int = started["cloned"]
        self._times: list[int] = started["times"]

    def wait(self, timeout: float | None = None) -> int | None:
        """Wait until it has ended; None if `timeout` seconds passed before.

        Returns:
            The exit code, 128 + N if signal N ended it.
        """
        if self.exit_code is None:
            message = self._connection.next(timeout)
            if message is not None:
                self.exit_code, self.oom_killed = message["exited"], message["oom_killed"]
        return self.exit_code

    def wait_undone(self) -> None:
        """Wait until it has ended and nothing of it is left on the host.

        Raises:
            LabError: something could not be undone, or the launcher doesn't answer.
        """
        self.wait()
        if self._undone:
            return
        message = self._connection.next(ANSWER_SECONDS)
        if message is None:
            self._connection.lost = True
            raise LabError(*_SILENT)
        self._undone = True
        if message["undone"]:
            raise LabError(*message["undone"])

    def signal(self, number: int) -> None:
        """Send it a signal; content to find it ended."""
        self._connection.tell({"signal": number})

    def kill(self) -> int:
        """End it by force where it still runs, wait until nothing is left; return the exit code."""
        if self.exit_code is None:
            self._connection.tell({"kill": True})
            if self.wait(ANSWER_SECONDS) is None:
                raise LabError(*_SILENT)
        self.wait_undone()
        assert self.exit_code is not None
        return self.exit_code

    def close(self) -> None:
        """End it and release everything; may be called again."""
        try:
            if not self._connection.closed and not self._connection.lost:
                self.kill()
        finally:
            self._connection.close()
            for fd in (self._pidfd, self.terminal):
                if fd >= 0:
                    os.close(fd)
            self._pidfd = self.terminal = -1

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()
