"""A place to start lab machines in: a libvirtd of one's own, and a network that leads nowhere."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

SCRIPT = Path(__file__).with_name("apart.sh")
START_SECONDS = 60.0
END_SECONDS = 30.0


@dataclass(frozen=True)
class Apart:
    """The place.

    Attributes:
        pid: of the process whose namespaces these are.
        folder: what is written there goes with it.
    """

    pid: int
    folder: Path

    def run(
        self, *command: str | Path, cwd: Path, timeout: float, **environment: str
    ) -> subprocess.CompletedProcess[str]:
        """Run a command there, with these of the lab's settings and no others."""
        kept = {name: value for name, value in os.environ.items() if not name.startswith("LAB_")}
        inside = ["nsenter", f"--target={self.pid}", "--mount", "--net", f"--wd={cwd}", "--"]
        return subprocess.run(
            [*inside, *command],
            env={**kept, "VAGRANT_HOME": str(self.folder / "vagrant"), **environment},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=timeout,
        )

    def machines(self) -> list[str]:
        """Return the command lines of the QEMUs that run there."""
        net = os.readlink(f"/proc/{self.pid}/ns/net")
        found = []
        for entry in Path("/proc").iterdir():
            try:
                words = (entry / "cmdline").read_text().replace("\0", " ")
                if words.startswith(("/usr/bin/qemu-system", "qemu-system")):
                    found += [words] if os.readlink(entry / "ns/net") == net else []
            except (FileNotFoundError, NotADirectoryError, ProcessLookupError):
                continue
        return found


@contextmanager
def apart() -> Iterator[Apart]:
    """Make such a place for the time of the block; nothing of it is left."""
    folder = Path(tempfile.mkdtemp(prefix="lab-apart-", dir="/var/tmp"))
    command = ["unshare", "--mount", "--net", "bash", SCRIPT, folder]
    with open(folder / "log", "wb") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log)
    try:
        deadline = time.monotonic() + START_SECONDS
        while not (folder / "ready").exists():
            assert process.poll() is None, (folder / "log").read_text()
            assert time.monotonic() < deadline, "libvirtd doesn't answer"
            time.sleep(0.1)
        yield Apart(process.pid, folder)
    finally:
        process.terminate()
        process.wait(END_SECONDS)
        shutil.rmtree(folder)
