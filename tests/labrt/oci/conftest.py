"""What the tests of the OCI face share: its program, a bundle, and an engine's monitor."""

from __future__ import annotations

import glob
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from labrt import syscalls
from labrt.cgroup_layout import layout
from labrt.images import base

PROGRAM = Path(sys.executable).parent / "labrt-oci"
Json = dict[str, Any]
Done = subprocess.CompletedProcess[str]


@pytest.fixture(scope="session")
def program() -> Path:
    """The program that engines are given."""
    assert PROGRAM.exists(), "./lab setup makes it"
    return PROGRAM


@pytest.fixture(scope="session")
def rootfs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A root file system: the host's busybox, under all its names."""
    folder = tmp_path_factory.mktemp("rootfs")
    folder.chmod(0o755)  # a user of the container looks into it, too
    (folder / "bin").mkdir()
    shutil.copy("/bin/busybox", folder / "bin/busybox")
    listed = subprocess.run(["/bin/busybox", "--list"], capture_output=True, text=True, check=True)
    for name in set(listed.stdout.split()) - {"busybox"}:
        (folder / "bin" / name).symlink_to("busybox")
    for name in ("tmp", "etc", "data"):
        (folder / name).mkdir()
    return folder


class Oci:
    """The program, with a folder of its own for its state. Whoever calls it is the monitor that
    inherits its containers, as conmon and containerd's shim are."""

    def __init__(self, program: Path, root: Path) -> None:
        self.program = program
        self.root = root

    def command(self, *words: str) -> list[str]:
        return [str(self.program), f"--root={self.root}", *words]

    def __call__(self, *words: str, **how: Any) -> Done:
        """Run a verb. A container that outlives it holds its output, so that goes to a file."""
        how.setdefault("stdin", subprocess.DEVNULL)
        with tempfile.TemporaryFile("w+") as out, tempfile.TemporaryFile("w+") as err:
            done = subprocess.run(
                self.command(*words), **{"stdout": out, "stderr": err, "timeout": 60, **how}
            )
            out.seek(0)
            err.seek(0)
            return subprocess.CompletedProcess(words, done.returncode, out.read(), err.read())

    def ok(self, *words: str, **how: Any) -> str:
        """Run a verb that must succeed; return what it wrote."""
        done = self(*words, **how)
        assert done.returncode == 0, done.stderr
        return done.stdout

    def refused(self, *words: str, **how: Any) -> str:
        """Run a verb that must fail; return the one line that it says."""
        done = self(*words, **how)
        assert done.returncode != 0
        assert done.stderr.startswith("labrt-oci: ")
        assert done.stderr.count("\n") == 1
        return done.stderr

    def state(self, name: str) -> Json:
        told: Json = json.loads(self.ok("state", name))
        return told

    def status(self, name: str) -> str:
        return str(self.state(name)["status"])

    def left(self) -> list[str]:
        """What is left of containers in its folder."""
        folder = self.root / "containers"
        return sorted(path.name for path in folder.iterdir()) if folder.exists() else []


@pytest.fixture
def oci(program: Path, tmp_path: Path) -> Iterator[Oci]:
    """The program; after the test, nothing of its containers may be left."""
    if os.geteuid() != 0:
        pytest.skip("an engine that isn't root brings a user namespace: test_podman.py")
    base.ensure("busybox")
    oci = Oci(program, tmp_path / "state")
    syscalls.prctl(syscalls.PR_SET_CHILD_SUBREAPER, 1)
    before = cgroups()
    try:
        yield oci
        for name in oci.left():
            oci("delete", "--force", name)
        reap()
        assert oci.left() == []
        assert cgroups() <= before
    finally:
        syscalls.prctl(syscalls.PR_SET_CHILD_SUBREAPER, 0)


def cgroups() -> set[str]:
    """The cgroups of these tests: their containers' names begin with "oci-"."""
    bases = [*glob.glob("/sys/fs/cgroup/*"), *map(str, layout().folders)]
    ours = ("oci-*", "oci-*/*", "labrt-*/oci-*")  # others make and remove theirs meanwhile
    return {path for base in bases for pattern in ours for path in glob.glob(f"{base}/{pattern}")}


def reap() -> dict[int, int]:
    """Reap the orphans that have ended; return pid → exit code, 128 + N for signal N."""
    found: dict[int, int] = {}
    while True:
        try:
            pid, status = os.waitpid(-1, os.WNOHANG)
        except ChildProcessError:
            return found
        if not pid:
            return found
        code = os.waitstatus_to_exitcode(status)
        found[pid] = code if code >= 0 else 128 - code


def ended(pid: int) -> int:
    """Wait for the end of a container's process, which is our child by now; return its exit code"""
    _, status = os.waitpid(pid, 0)
    code = os.waitstatus_to_exitcode(status)
    return code if code >= 0 else 128 - code


class Bundle:
    """A bundle, as `labrt-oci spec` writes it, with changes."""

    def __init__(self, folder: Path, config: Json) -> None:
        self.folder = folder
        self.config = config

    def write(self) -> None:
        (self.folder / "config.json").write_text(json.dumps(self.config))

    def runs(self, *args: str, **process: Any) -> Bundle:
        """Have it run this."""
        self.config["process"].update(args=list(args), **process)
        self.write()
        return self

    @property
    def at(self) -> str:
        return f"--bundle={self.folder}"


@pytest.fixture
def make_bundle(program: Path, rootfs: Path, tmp_path: Path) -> Callable[..., Bundle]:
    """Make a bundle that runs something on the shared root, which is read-only."""

    def make(*args: str, name: str = "bundle", **process: Any) -> Bundle:
        folder = tmp_path / name
        folder.mkdir()
        subprocess.run([program, "spec", "--bundle", folder], check=True)
        bundle = Bundle(folder, json.loads((folder / "config.json").read_text()))
        bundle.config["root"]["path"] = str(rootfs)
        bundle.config["process"]["terminal"] = False
        return bundle.runs(*args, **process)

    return make


@pytest.fixture
def sleeper(make_bundle: Callable[..., Bundle]) -> Bundle:
    """A bundle that sleeps, and ends when it is asked to."""
    return make_bundle("sh", "-c", "trap 'exit 5' TERM; while :; do sleep 0.1; done")


def wait_for(pid: int, name: str) -> None:
    """Wait until a process has executed a program of that name (PR_SET_NAME(2const))."""
    import time

    deadline = time.monotonic() + 20
    while Path(f"/proc/{pid}/comm").read_text().strip() != name:
        assert time.monotonic() < deadline, "it never began"
        time.sleep(0.01)


def kill(pid: int) -> None:
    """End a container's process by force, and reap it."""
    os.kill(pid, signal.SIGKILL)
    ended(pid)
