"""Boots this host's own file system under another kernel, with pure cgroup v2, to run tests there.

virtme-ng starts QEMU with the host's root as a read-only 9p mount (writable folders get a tmpfs
overlay), so the lab's .venv is usable inside, and nothing the guest does reaches the host, except
what it writes into one shared folder. A second export of the same root, "cached", is for inside.sh
to mount with a cache. The kernel is the distribution's, unpacked by
`./lab setup --test`. Host side; the guest's is inside.sh.
"""

from __future__ import annotations

import os
import pty
import shlex
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from labrt import paths

CPUS = 2
MEMORY = "2G"
# The emulated CPU has no speculation to guard against. Its TSC is measured while others use the
# host's CPUs, too, and then wrong: a clock that runs fast makes tests miss their deadlines. Nor is
# the timer's interrupt checked, which a busy host can deliver too late: the kernel would panic.
KERNEL_OPTIONS = ("mitigations=off", "clocksource=hpet", "no_timer_check")
CACHED = (
    *("-fsdev", "local,id=cached,path=/,security_model=none,readonly=on,multidevs=remap"),
    *("-device", "virtio-9p-pci,fsdev=cached,mount_tag=cached"),
)


@dataclass(frozen=True)
class Outcome:
    """What became of a command.

    Attributes:
        status: its exit status; None if the guest died or missed its deadline first.
        output: all it wrote.
        console: what virtme-ng, QEMU and the guest's kernel said: evidence for a failed boot.
        seconds: from starting virtme-ng to its end.
    """

    status: int | None
    output: str
    console: str
    seconds: float


def kernel() -> Path | None:
    """Return the tests' kernel image, None if set-up couldn't fetch one on this distribution."""
    folder = paths.home() / "kernels" / "full"
    if not (folder / "release").exists():
        return None
    return folder / "boot" / f"vmlinuz-{(folder / 'release').read_text().strip()}"


def unavailable() -> str | None:
    """Return why no guest can be started here, with the remedy, or None if one can."""
    if kernel() is None:
        return "no kernel for the guest; run ./lab setup --test (Debian and Ubuntu)"
    for tool in ("qemu-system-x86_64", "modprobe", "file"):
        if shutil.which(tool, path=_path()) is None:
            return f"no {tool}; run ./lab setup --test"
    return None


def run(
    command: Sequence[str],
    shared: Path,
    deadline: float,
    processor: str = "",
    given_up: Callable[[], bool] = lambda: False,
) -> Outcome:
    """Boot a guest, run a command in it as root, and switch it off.

    Args:
        command: program and arguments; the host's files have their own paths inside.
        shared: an empty folder, the one that the guest can write files to for the host; its path
            has no blanks (it goes through the kernel's command line) and is the same inside. The
            file "output" there has what the command has written so far.
        deadline: seconds from start to end, after which the guest is killed.
        processor: for QEMU's -cpu, "" for virtme-ng's choice.
        given_up: asked again and again; once it says so, the guest is killed.
    """
    output = shared / "output"
    output.touch()
    _lay_out(shared)
    inside = f"{shlex.join(command)} >{output} 2>&1 </dev/null; echo $? >{shared}/status"
    started = time.monotonic()
    with _Terminal(_command(shared, inside, processor), _path(shared / "bin")) as terminal:
        while terminal.running() and time.monotonic() - started < deadline and not given_up():
            time.sleep(0.1)  # the guest's output is a file: nothing is measured here
    status = shared / "status"
    return Outcome(
        int(status.read_text()) if status.exists() and status.read_text().strip() else None,
        output.read_text(errors="replace"),
        terminal.text(),
        time.monotonic() - started,
    )


def _lay_out(shared: Path) -> None:
    """Put links to .venv and kernel into `shared`.

    virtme-ng hands their paths to the guest in the kernel's command line, where a blank would end
    them; and the user's folders may have blanks.
    """
    (shared / "venv").symlink_to(sys.prefix)
    (shared / "kernels").symlink_to(paths.home() / "kernels")
    (shared / "bin").mkdir()
    virtme_run = shared / "bin" / "virtme-run"  # which virtme-ng looks for in PATH
    virtme_run.write_text(f'#!/bin/sh\nexec {shared}/venv/bin/python -m virtme.commands.run "$@"\n')
    virtme_run.chmod(0o755)


def _command(shared: Path, inside: str, processor: str) -> list[str]:
    image = kernel()
    assert image is not None, "asked by unavailable()"
    return [
        *(f"{shared}/venv/bin/python", "-m", "virtme_ng.run"),
        # One path for every host: TCG, q35 and 9p are slower than KVM, microvm and virtiofs, but
        # the same everywhere, and a microvm under TCG sometimes hangs.
        "--disable-kvm",
        "--disable-microvm",
        "--force-9p",
        *("--cpus", str(CPUS), "--memory", MEMORY, "--user", "root"),
        *(f"--qemu-opt={word}" for word in (*CACHED, *(("-cpu", processor) if processor else ()))),
        *(f"--append={word}" for word in KERNEL_OPTIONS),
        f"--rwdir={shared}",
        "--verbose",  # the kernel's messages, into the console's text
        *("--run", f"{shared}/kernels/{image.relative_to(paths.home() / 'kernels')}"),
        *("--exec", inside),
    ]


def _path(*first: Path) -> str:
    return os.pathsep.join([*map(str, first), os.environ.get("PATH", ""), "/usr/sbin", "/sbin"])


class _Terminal:
    """A process with a terminal of its own, which virtme-ng insists on; killed with its group."""

    def __init__(self, command: list[str], path: str) -> None:
        self._chunks: list[bytes] = []
        self._ours, theirs = pty.openpty()
        self._process = subprocess.Popen(
            command,
            stdin=theirs,
            stdout=theirs,
            stderr=theirs,
            cwd="/",
            env={**os.environ, "PATH": path},
            start_new_session=True,
        )
        os.close(theirs)
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        """Keep the terminal drained until its last writer is gone (EIO, pty(7))."""
        try:
            while chunk := os.read(self._ours, 65536):
                self._chunks.append(chunk)
        except OSError:
            pass

    def running(self) -> bool:
        return self._process.poll() is None

    def text(self) -> str:
        return b"".join(self._chunks).decode(errors="replace")

    def __enter__(self) -> _Terminal:
        return self

    def __exit__(self, *exc: object) -> None:
        if self.running():
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()
        self._reader.join(timeout=10)
        os.close(self._ours)
