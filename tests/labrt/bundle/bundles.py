"""What the tests of bundles share: a bundle, and the program that runs it."""

from __future__ import annotations

import copy
import json
import os
import shutil
import subprocess
import sys
import zlib
from pathlib import Path
from typing import Any

from labrt.bundle import declaring, reading
from labrt.spec import Spec
from tests.labrt.bundle.cases import BASE, merged

PROGRAM = Path(sys.executable).parent / "labrt-oci"
SECONDS = 60
# For `create`, whose container would hold a pipe open.
PATIENT: dict[str, Any] = {"stdout": None, "stderr": None, "capture_output": False}
APPLETS = (
    *("sh", "cat", "grep", "tr", "sort", "readlink", "stat", "tail", "cut", "ls", "touch", "rm"),
    *("mkdir", "nproc", "sleep", "true", "test", "id", "mount", "mknod", "head", "hostname", "dd"),
    *("ln", "uname", "wc", "kill", "env", "date", "stty", "tty"),
)


def fill_root(root: Path) -> None:
    """Make a root file system of the host's static busybox."""
    for name in ("bin", "etc", "home", "mnt", "proc", "sys", "dev", "tmp"):
        (root / name).mkdir(parents=True)
    shutil.copy("/bin/busybox", root / "bin/busybox")
    for name in dict.fromkeys(APPLETS):
        (root / "bin" / name).symlink_to("busybox")
    (root / "etc/passwd").write_text(
        "root:x:0:0:root:/root:/bin/sh\nu:x:1000:1000::/home/u:/bin/sh\n"
    )
    (root / "etc/group").write_text("root:x:0:\nu:x:1000:\nextra:x:50:u\n")


def config(*changes: dict[str, Any], run: str = "") -> dict[str, Any]:
    """Return BASE with changes; `run` is a shell command in place of its program."""
    found = copy.deepcopy(BASE)
    for change in changes:
        found = merged(found, change)
    if run:
        found["process"]["args"] = ["sh", "-c", run]
    return found


def declared(folder: Path, *changes: dict[str, Any]) -> Spec:
    """Return what a bundle with these changes of BASE declares; nothing happens."""
    (folder / "rootfs").mkdir(exist_ok=True)
    (folder / "config.json").write_text(json.dumps(config(*changes)))
    return declaring.declare("tested", folder, reading.config(folder))


class Bundles:
    """A bundle that is run again and again with another config.json, under a name of its own."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.folder.chmod(0o755)
        self.root = folder / "rootfs"
        fill_root(self.root)
        self.name = f"tested-{os.getpid()}"
        self.top = f"labrt-{zlib.crc32(os.fsencode(folder / 'state')):08x}"

    def __call__(self, verb: str, *words: str, **how: Any) -> subprocess.CompletedProcess[str]:
        command = [str(PROGRAM), "--root", str(self.folder / "state"), verb, *words]
        how = {"stdin": subprocess.DEVNULL, "capture_output": True, "timeout": SECONDS, **how}
        done: subprocess.CompletedProcess[str] = subprocess.run(command, text=True, **how)
        return done

    def write(self, *changes: dict[str, Any], run: str = "") -> None:
        (self.folder / "config.json").write_text(json.dumps(config(*changes, run=run)))

    def run(self, *changes: dict[str, Any], run: str = "", **how: Any) -> str:
        """Run a container to its end; return what it wrote.

        Raises:
            AssertionError: it failed.
        """
        done = self.outcome(*changes, run=run, **how)
        assert done.returncode == 0, done.stderr
        return done.stdout

    def outcome(
        self, *changes: dict[str, Any], run: str = "", **how: Any
    ) -> subprocess.CompletedProcess[str]:
        self.write(*changes, run=run)
        return self("run", "--bundle", str(self.folder), self.name, **how)

    def refused(self, *changes: dict[str, Any], run: str = "", **how: Any) -> str:
        """Return the one line that says why it isn't run."""
        done = self.outcome(*changes, run=run, **how)
        assert done.returncode != 0, done.stdout
        assert "Traceback" not in done.stderr
        return done.stderr
