"""A container of Podman, with a storage of the lab's own: what others keep there isn't touched.

It is detached, and its output passed through: the container writes into the bench's pipe itself.
What stays is its monitor, conmon; with cgroup v1 both are in cgroups below one of the instance's.
With --rm it is conmon, before it ends, that has everything removed: its end is the event that
nothing is left.
Host side. Man pages: podman-run(1), conmon(8).
"""

from __future__ import annotations

import errno
import os
import resource
import shutil
import signal
import time
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, ClassVar

from bench import io_limit, oci_cgroups
from bench.client import ended
from bench.engine import Engine
from bench.oci_runtime import Runtime, crun, runc
from bench.scratch import Scratch
from bench.subjects._called import first
from bench.subjects._engine import EngineInstance
from bench.subjects.base import Instance, InstanceFailed, Subject, Workload
from labrt import cgroups, paths, syscalls
from labrt.cgroups import Cgroup
from labrt.errors import LabError
from labrt.images import store

LONGEST = 50  # characters of --runroot
CLEAN_UP_SECONDS = 10.0  # that conmon may take once its container is gone


def storage() -> Path:
    """Return where images and containers are kept."""
    return paths.home() / "podman"


def run_root() -> Path:
    """Return where what dies with the machine is kept."""
    return paths.run_dir() / "podman"


def oci_runtime() -> Runtime:
    """Return Podman's own choice where that works here, else the other one."""
    return crun if crun.unavailable() is None else runc


def engine() -> Engine:
    """Return Podman as the lab calls it. Without systemd there is neither its cgroup manager nor
    its journal, so neither is used anywhere."""
    run = run_root()
    return Engine(
        (
            "podman",
            f"--root={storage()}",
            f"--runroot={run}",
            f"--tmpdir={run}/tmp",
            f"--runtime={oci_runtime().name}",
            "--storage-driver=overlay",
            "--cgroup-manager=cgroupfs",
            "--events-backend=none",
        ),
        at_once=("--time=0",),
    )


def remove_leftovers() -> list[str]:
    """Remove the containers that a killed bench has left; return their names.

    Raises:
        LabError: Podman could not remove one.
    """
    if not storage().exists() or shutil.which("podman") is None:
        return []
    names = engine().marked()
    for name in names:
        engine().remove(name)
    unmount()
    return names


def unmount() -> None:
    """Podman binds its storage to itself; undo that, unless a container still needs it."""
    try:
        syscalls.umount2(storage() / "overlay")
    except OSError as error:
        if error.errno not in (errno.EINVAL, errno.ENOENT, errno.EBUSY):
            raise


class PodmanInstance(EngineInstance):
    """One container and its monitor."""

    def __init__(
        self, workload: Workload, image: str, options: Sequence[str], scratch: Scratch
    ) -> None:
        self._cgroup = Cgroup(oci_cgroups.name(scratch.name))
        self._first = self._conmon = -1  # pidfds
        self._monitor = 0  # conmon's pid
        placed = (*options, f"--cgroup-parent=/{self._cgroup.name}")
        super().__init__(engine(), workload, image, placed, scratch)

    def _look(self, timeout: float) -> int:
        if self._client.wait(timeout) is None:
            raise InstanceFailed("podman run had not ended when it was ready")
        pid = first(self._cgroup.processes())
        try:
            self._monitor = _parent(pid)
            self._first, self._conmon = os.pidfd_open(pid), os.pidfd_open(self._monitor)
        except (FileNotFoundError, ProcessLookupError):
            raise InstanceFailed("it ended as soon as it was ready") from None
        return pid

    def stop(self, timeout: float) -> None:
        deadline = time.monotonic() + timeout
        self._ask_to_stop(timeout)
        if not ended(self._conmon, deadline - time.monotonic()):
            raise InstanceFailed(f"its monitor was still there after {timeout:g} s")
        self._release()

    def destroy(self) -> None:
        """Not by `podman rm --force` alone: of a container that is stopping already it forgets the
        record and lets the processes live (4.3); and conmon, whose own removal it meets, must not
        be killed amid that: the record would stay."""
        if self._first >= 0:
            try:
                signal.pidfd_send_signal(self._first, signal.SIGKILL)
            except ProcessLookupError:
                pass  # it has ended
            ended(self._conmon, CLEAN_UP_SECONDS)
        elif not self._removed:
            self._remove()
            _wait_for(self._cgroup.processes())
            self._engine.remove(self.name)
        self._remove()
        self._release()

    def _release(self) -> None:
        oci_cgroups.remove(self._cgroup.name)
        for pidfd in {self._first, self._conmon} - {-1}:
            os.close(pidfd)
        self._first = self._conmon = -1
        self._let_go()

    def pids(self) -> list[int]:
        around = [self._client.pid] if self._client.alive else []
        if self._conmon >= 0 and not ended(self._conmon, 0):
            around.append(self._monitor)
        return sorted({*around, *self._cgroup.processes()})

    def cgroup(self) -> Cgroup | None:
        """With cgroup v2, Podman's cgroupfs manager leaves conmon where Podman is."""
        return self._cgroup if self._monitor in self._cgroup.processes() else None


class Podman(Subject):
    name: ClassVar = "podman"
    kind: ClassVar = "container"
    title: ClassVar = "Podman container"

    def __init__(self) -> None:
        self._images: dict[str, str] = {}  # digest → Podman's id

    def unavailable(self) -> str | None:
        if shutil.which("podman") is None:
            return "podman is not installed; apt-get install podman"
        if os.geteuid() != 0:
            return "only root's Podman can limit containers without systemd; run with sudo"
        if len(str(run_root())) > LONGEST:
            return f"Podman takes no run folder as long as {run_root()}; set LAB_RUN to a short one"
        return oci_runtime().unavailable() or cgroups.unavailable()

    def conditions(self) -> dict[str, Any]:
        return {
            "posture": "root is the host's root (no user namespace), a session keyring, Podman's "
            "capabilities, masks and seccomp filter",
            "version": f"Podman {engine().call('version', '--format={{.Client.Version}}')}",
            "oci_runtime": oci_runtime().version(),
            "root": "overlay",
            "network": "none",
            "log": "passthrough",
            "image_kept": "manifest, config and layers",
        }

    def prepare(self, workload: Workload) -> None:
        """Copy the image from the store.

        Raises:
            LabError: it could not be copied.
        """
        paths.make_passable(storage())
        # Podman makes a name of the path: LAB_HOME's own may have what no name may have.
        images, source = store.folder(), f"oci:{store.folder().name}:{workload.image}"
        kept = engine().call("pull", "--quiet", source, cwd=images.parent)
        self._images[workload.digest] = kept
        told = ("image", "inspect", "--format={{.Digest}}", kept)
        if (digest := engine().call(*told)) != workload.digest:
            raise LabError(f"copy {workload.image} to Podman", f"it has the digest {digest} there")

    def kept(self, workload: Workload) -> str:
        """Return what Podman calls the image, once it is copied (`prepare`)."""
        return self._images[workload.digest]

    def start(self, workload: Workload, name: str) -> Instance:
        options = (
            "--detach",
            "--rm",
            "--log-driver=passthrough",
            *ulimits(),
            *io_limit.words(workload.io),
        )
        scratch = Scratch(name, workload.scratch)
        with scratch.made():
            return PodmanInstance(workload, self.kept(workload), options, scratch)

    def close(self) -> None:
        """Let go of the storage, which is kept for the next run."""
        if self._images:
            unmount()
            self._images = {}


def ulimits() -> list[str]:
    """Podman would raise them, which needs CAP_SYS_RESOURCE, and it lowers its own number of
    processes to pid_max beforehand. So it is told to leave them as they are."""
    most = int(Path("/proc/sys/kernel/pid_max").read_text())
    files, processes = (
        [limit if limit >= 0 else most for limit in resource.getrlimit(which)]
        for which in (resource.RLIMIT_NOFILE, resource.RLIMIT_NPROC)
    )
    return [
        f"--ulimit=nofile={files[0]}:{files[1]}",
        f"--ulimit=nproc={min(processes[0], most)}:{min(processes[1], most)}",
    ]


def _wait_for(pids: Iterable[int]) -> None:
    """Wait until processes have ended, each for `CLEAN_UP_SECONDS`."""
    for pid in pids:
        try:
            pidfd = os.pidfd_open(pid)
        except ProcessLookupError:
            continue
        ended(pidfd, CLEAN_UP_SECONDS)
        os.close(pidfd)


def _parent(pid: int) -> int:
    return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])
