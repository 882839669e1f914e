"""A guest that runs tests of the lab in a process of its own, beside what else goes on.

    python -m tests.v2.beside DEADLINE TESTS…

boots the guest (guest.py) and has inside.sh run TESTS. It writes two lines: before the boot the
folder that the guest shares with the host, after its end what became of it. At the end of its
standard input, a pipe, it ends the guest and removes the folder: when `Beside.end` closes the pipe,
or the kernel does, because whoever holds it has died.
"""

from __future__ import annotations

import json
import select
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from functools import cached_property
from pathlib import Path

from tests.v2 import guest
from tests.v2.guest import Outcome

ROOT = Path(__file__).parent.parent.parent
INSIDE = Path(__file__).with_name("inside.sh")
GLANCE = 0.1  # seconds between two looks at what the guest has written: nothing is measured here


class Beside:
    """A guest that was started and goes on by itself; to be ended with `end`, or by `with`."""

    def __init__(
        self, tests: Sequence[str], deadline: float, environment: Mapping[str, str] | None = None
    ) -> None:
        """Start it.

        Args:
            tests: pytest's arguments: files below the lab's folder, options.
            deadline: seconds from start to end, after which the guest is killed.
            environment: this process's if none is given.
        """
        # setsid(1) forks and ends: the guest is no descendant of ours, for the lessons' clean-up
        # ends the virtual machines among those; nor does Ctrl-C reach it.
        self._process = subprocess.Popen(
            ["setsid", "--fork", sys.executable, "-m", __name__, str(deadline), *tests],
            cwd=ROOT,
            env=environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            bufsize=0,  # a line that is there is seen by select(2)
        )
        self._process.wait()

    @cached_property
    def shared(self) -> Path:
        """The folder that the guest can write files to for the host; gone after `end`."""
        return Path(self._line().strip())

    def outcome(self, on_line: Callable[[str], None]) -> Outcome:
        """Wait for the guest's end; return what became of it.

        `on_line` is called with each line that the tests write, at once with those that are there.
        """
        output = self.shared / "output"
        seen = 0
        while not select.select([self._process.stdout], [], [], GLANCE)[0]:
            seen = _tell(output, seen, on_line)
        outcome = Outcome(**json.loads(self._line()))
        _tell(output, seen, on_line)
        return outcome

    def _line(self) -> str:
        """Read one of the two that the process writes."""
        assert self._process.stdout is not None
        line = self._process.stdout.readline().decode()
        if not line.startswith(("/", "{")):
            said = line + self._process.stdout.read().decode()
            raise AssertionError(f"the process beside failed:\n{said}")
        return line

    def end(self) -> None:
        """End the guest, if it still runs, and wait until its folder is removed."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.close()
        while self._process.stdout.read(65536):
            pass
        self._process.stdout.close()

    def __enter__(self) -> Beside:
        return self

    def __exit__(self, *exc: object) -> None:
        self.end()


def _tell(output: Path, seen: int, on_line: Callable[[str], None]) -> int:
    """Hand on the whole lines after byte `seen`; return how far that went."""
    if not output.exists():
        return seen  # the guest is about to be started
    with output.open("rb") as stream:
        stream.seek(seen)
        whole, newline, _ = stream.read().rpartition(b"\n")
    for line in (whole + newline).decode(errors="replace").splitlines():
        on_line(line)
    return seen + len(whole + newline)


def main(deadline: float, tests: Sequence[str]) -> None:
    """The process beside: boot the guest, tell its end, wait until nobody wants its files."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit())  # the supervisor's; leaves nothing either
    # Not pytest's tmp_path: this one goes through the guest's kernel command line, without blanks.
    with tempfile.TemporaryDirectory(prefix="lab-v2-", dir="/tmp") as folder:
        Path(folder).chmod(0o711)  # the guest's ordinary user passes through
        print(folder, flush=True)
        command = ["/bin/sh", str(INSIDE), folder, str(ROOT), *tests]
        outcome = guest.run(command, Path(folder), deadline, given_up=_nobody_waits)
        if not _nobody_waits():
            print(json.dumps(asdict(outcome)), flush=True)
        sys.stdin.read()


def _nobody_waits() -> bool:
    return bool(select.select([sys.stdin], [], [], 0)[0])


if __name__ == "__main__":
    main(float(sys.argv[1]), sys.argv[2:])
