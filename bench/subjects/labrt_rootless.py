"""A labrt container of a normal user, from the command line. Root inside is that user outside.

Without a cgroup that systemd has delegated, a normal user's labrt can limit nothing. So the limits
come from where an administrator's do: root makes the cgroup, and the command is born in it and only
then becomes the user. Who isn't root measures this by the subject labrt already.
Host side. Man pages: setpriv(1), user_namespaces(7), cgroups(7).
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any, ClassVar

from bench import oci_cgroups
from bench.subjects._called import CalledInstance, first
from bench.subjects.base import Instance, InstanceFailed, Subject, Workload
from bench.subjects.process import JOIN, limits
from labrt import cgroups, paths, state
from labrt.cgroups import Cgroup
from labrt.errors import LabError

ROOT = Path(__file__).parent.parent.parent
HOMES = Path("/var/tmp")  # a disk that everybody may use; LAB_HOME may be where only root gets
NOBODY = 65534
UNPACK = (
    "import sys; from labrt.images import interchange, layers, store; "
    "interchange.load(sys.argv[1]); layers.unpacked(store.resolve(sys.argv[2]))"
)


def user() -> tuple[int, int]:
    """Return the uid and gid: of who called sudo(8), else nobody's."""
    ids = os.environ.get("SUDO_UID", NOBODY), os.environ.get("SUDO_GID", NOBODY)
    return int(ids[0]), int(ids[1])


def prefix() -> str:
    return f"lab-rootless{paths.lab_suffix()}-"


def remove_leftovers() -> list[str]:
    """Remove what a killed bench has left, once what ran there has been ended; return the paths.
    Anybody may make a folder of such a name: only root's own are looked into."""
    mine = [each for each in HOMES.glob(f"{prefix()}*") if each.lstat().st_uid == os.geteuid()]
    return [str(folder) for folder in mine if _removed(folder)]


def _removed(folder: Path) -> bool:
    lock = state.try_lock(folder)
    if lock is None:
        return False  # a living bench's
    os.close(lock)
    state.remove_tree(folder)
    return True


def become(*command: str) -> list[str]:
    """Return the command as the user's. By its path: busybox's shell has a setpriv of its own."""
    uid, gid = user()
    return [
        shutil.which("setpriv") or "setpriv",
        f"--reuid={uid}",
        f"--regid={gid}",
        "--clear-groups",
        "--",
        *command,
    ]


class LabrtRootlessInstance(CalledInstance):
    """One container and the command that waits for it, in one cgroup."""

    def __init__(self, name: str, workload: Workload, environment: dict[str, str]) -> None:
        self._cgroup = Cgroup(oci_cgroups.name(name))
        self._limits = limits(workload)
        run = become(
            *(sys.executable, "-m", "labrt.cli", "run", "--rm"),
            *(f"--name={name}", f"--hostname={name}", workload.image, *workload.command),
        )
        doors = map(str, oci_cgroups.doors(self._cgroup))
        try:
            super().__init__(
                name, ["busybox", "sh", "-c", JOIN, "join", *doors, "--", *run], environment
            )
        except BaseException as error:
            self._cgroup.remove()
            if isinstance(error, LabError):
                raise InstanceFailed(str(error)) from error
            raise

    def _before(self) -> None:
        Cgroup.create(self._cgroup.name, self._limits)

    def _look(self, timeout: float) -> int:
        return first(self._cgroup.processes())

    def destroy(self) -> None:
        oci_cgroups.empty(self._cgroup.name)
        self._client.kill()  # which may not have been in it yet
        oci_cgroups.remove(self._cgroup.name)
        self._let_go()

    def pids(self) -> list[int]:
        return self._cgroup.processes()

    def cgroup(self) -> Cgroup | None:
        return self._cgroup


class LabrtRootless(Subject):
    name: ClassVar = "labrt-rootless"
    kind: ClassVar = "container"
    title: ClassVar = "labrt, rootless"

    def __init__(self) -> None:
        self._folder: Path | None = None  # root's, with the user's home in it
        self._lock = -1
        self._images: set[str] = set()  # digests that are there

    def unavailable(self) -> str | None:
        if os.geteuid() != 0:
            return "without root labrt is rootless already; measure the subject labrt"
        if user()[0] == 0:
            return "the user who called sudo is root; call it as somebody else"
        if shutil.which("setpriv") is None:
            return "setpriv is not installed; apt-get install util-linux"
        return cgroups.unavailable()

    def no_scratch(self) -> str | None:
        return "its user can't get to where the others write, LAB_HOME of root; measure labrt"

    def conditions(self) -> dict[str, Any]:
        return {
            "posture": f"all seven namespaces, root mapped to the unprivileged uid {user()[0]}, "
            "whose command started it; the limits are set by root from outside",
            "network": "none",
        }

    def prepare(self, workload: Workload) -> None:
        """Give the user a home, and the image in it, unpacked.

        Raises:
            LabError: the user can't use the lab, or no user namespace.
        """
        from labrt.images import interchange

        if workload.digest in self._images:
            return
        if self._folder is None:
            self._make_home()
        archive = self._home.parent / "image"  # root writes where only root may
        interchange.save(str(archive), [workload.image], "oci-archive")
        archive.chmod(0o644)
        self._as_user("-c", UNPACK, str(archive), workload.image)
        archive.unlink()
        self._images.add(workload.digest)

    def _make_home(self) -> None:
        self._folder = Path(tempfile.mkdtemp(prefix=prefix(), dir=HOMES))
        self._folder.chmod(0o711)
        self._lock = state.try_lock(self._folder) or -1
        self._home.mkdir()
        os.chown(self._home, *user())

    @property
    def _home(self) -> Path:
        assert self._folder is not None, "prepare comes first"
        return self._folder / "home"

    def _as_user(self, *arguments: str) -> None:
        done = subprocess.run(
            become(sys.executable, *arguments),
            env=self._environment(),
            capture_output=True,
            text=True,
            cwd="/",
        )
        if done.returncode:
            answer: Sequence[str] = done.stderr.strip().splitlines()[-1:] or ["no answer"]
            raise LabError(
                f"give uid {user()[0]} the image",
                answer[0],
                remedy=f"let that user read {ROOT}, or leave the subject out",
            )

    def _environment(self) -> dict[str, str]:
        own = {"HOME": str(self._home), "LAB_HOME": f"{self._home}/lab", "PYTHONPATH": str(ROOT)}
        return {**os.environ, **own, "LAB_RUN": f"{self._home}/run"}

    def start(self, workload: Workload, name: str) -> Instance:
        return LabrtRootlessInstance(name, workload, self._environment())

    def close(self) -> None:
        """Remove the user's home."""
        if self._folder is not None:
            os.close(self._lock)
            state.remove_tree(self._folder)
            self._folder, self._images = None, set()
