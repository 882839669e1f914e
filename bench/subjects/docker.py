"""A container of a Docker daemon that runs already (DOCKER_HOST, or the usual socket).

`docker run` stays attached until the ready mark has come over it; then it is ended, and the
container runs on as after `docker run --detach`. Of a container that works it stays, for more marks
will come over it. What the host has because of it is the container's processes and their shim,
which the daemon starts in a cgroup of the daemon's.

The image is loaded under a name of the lab's own, and removed again. Host side.
"""

from __future__ import annotations

import json
import os
import shutil
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any, ClassVar

from bench import io_limit
from bench.engine import LABEL, Engine
from bench.scratch import Scratch
from bench.subjects._engine import EngineInstance
from bench.subjects.base import Instance, InstanceFailed, Subject, Workload
from labrt import paths
from labrt.cgroups import Cgroup
from labrt.errors import LabError
from labrt.images import store

ENGINE = Engine(("docker",))
ANSWER_SECONDS = 10.0
FACTS = "{{json .}}"


def noted() -> Path:
    """Return the file that says which daemon was used: only that one is asked for leftovers."""
    return paths.home() / "docker-daemon"


def repository() -> str:
    """Return the name under which the daemon gets this lab's images."""
    return f"{LABEL}{paths.lab_suffix()}/image"


def remove_leftovers() -> list[str]:
    """Remove what this lab has left in a daemon; return the containers' names.

    Raises:
        LabError: the daemon that was used doesn't answer.
    """
    if not noted().exists():
        return []
    engine = Engine(("docker", f"--host={noted().read_text()}"))
    names = engine.marked()
    for name in names:
        engine.remove(name)
    images = ("image", "ls", repository(), "--format", "{{.Repository}}:{{.Tag}}")
    for image in engine.call(*images).split():
        engine.remove_image(image)
    noted().unlink()
    return names


class DockerInstance(EngineInstance):
    """One container."""

    _pid = 0  # of its first process

    def __init__(
        self, workload: Workload, image: str, options: Sequence[str], scratch: Scratch
    ) -> None:
        self._works = workload.name != Workload.name
        super().__init__(ENGINE, workload, image, options, scratch)

    def _look(self, timeout: float) -> int:
        if not self._works:
            self._client.kill()
        try:
            told = self._engine.call("inspect", "--format={{.State.Pid}}", self.name)
        except LabError as error:
            raise InstanceFailed(str(error)) from error
        self._pid = int(told)
        if not self._pid:
            raise InstanceFailed("it ended as soon as it was ready")
        return self._pid

    def stop(self, timeout: float) -> None:
        self._ask_to_stop(timeout)
        self.destroy()

    def destroy(self) -> None:
        self._remove()
        self._pid = 0
        self._let_go()

    def ended(self) -> bool:
        """The client, which its output comes by, has been ended before."""
        return not Path(f"/proc/{self._pid}").exists()

    def pids(self) -> list[int]:
        import psutil

        client = [self._client.pid] if self._client.alive else []
        try:
            shim = psutil.Process(self._pid).parent() if self._pid else None
            inside = shim.children(recursive=True) if shim else []
        except psutil.NoSuchProcess:
            return client
        return client + [process.pid for process in ([shim] if shim else []) + inside]

    def cgroup(self) -> Cgroup | None:
        """The shim is outside the container's."""
        return None


class Docker(Subject):
    name: ClassVar = "docker"
    kind: ClassVar = "container"
    title: ClassVar = "Docker container"

    def __init__(self) -> None:
        self._images: dict[str, str] = {}  # digest → its name in Docker
        self._kept = ""

    def unavailable(self) -> str | None:
        if shutil.which("docker") is None:
            return "docker is not installed; apt-get install docker.io"
        if shutil.which("skopeo") is None:
            return "skopeo, which brings the image to Docker, is not installed; apt-get install it"
        try:
            info = _info()
        except LabError as error:
            return f"no Docker daemon answers ({error.answer}); start it, or set DOCKER_HOST"
        if info["KernelVersion"] != os.uname().release:
            return "the Docker daemon's containers run under another kernel, in a VM or elsewhere"
        return None

    def conditions(self) -> dict[str, Any]:
        info = _info()
        security = ", ".join(info["SecurityOptions"] or ["no security options"])
        return {
            "posture": "root is the host's root (no user namespace), a session keyring, Docker's "
            f"capabilities, masks and {security}",
            "version": f"Docker {info['ServerVersion']}",
            "oci_runtime": info["DefaultRuntime"],
            "root": info["Driver"],
            "network": "none",
            "log": info["LoggingDriver"],
            "image_kept": self._kept,
        }

    def prepare(self, workload: Workload) -> None:
        """Load the image.

        Raises:
            LabError: it could not be loaded.
        """
        image = store.resolve(workload.image)
        paths.make_passable(paths.home())
        noted().write_text(_daemon())
        name = f"{repository()}:{image.digest.removeprefix('sha256:')[:12]}"
        self._images[image.digest] = name
        _load(workload.image, name)
        loaded = json.loads(ENGINE.call("image", "inspect", "--format", FACTS, name))
        if tuple(loaded["RootFS"]["Layers"]) != image.diff_ids:
            raise LabError(f"load {image.name} into Docker", "it has other layers there")
        config = json.loads(store.get(image.digest))["config"]["digest"]
        self._kept = "config and layers" if loaded["Id"] == config else "layers, by their diff ids"

    def start(self, workload: Workload, name: str) -> Instance:
        scratch = Scratch(name, workload.scratch)
        with scratch.made():
            image, limits = self._images[workload.digest], self._limits(workload)
            return DockerInstance(workload, image, limits, scratch)

    def _limits(self, workload: Workload) -> list[str]:
        if workload.io is None:
            return []
        return io_limit.words(workload.io, *_places(workload.scratch is not None))

    def no_io_limit(self, scratch: bool = False) -> str | None:
        try:
            for place in _places(scratch):
                io_limit.disk(place)
        except LabError as error:
            return str(error)
        return None

    def close(self) -> None:
        """Remove the images."""
        while self._images:
            ENGINE.remove_image(self._images.popitem()[1])
        noted().unlink(missing_ok=True)


def _places(scratch: bool) -> list[Path]:
    """Return where a container's files lie: where the daemon keeps it, and where its scratch is."""
    return [Path(_info()["DockerRootDir"]), *([paths.home()] if scratch else [])]


def _load(image: str, name: str) -> None:
    """Hand an image over in the one form that every Docker reads."""
    skopeo = Engine(("skopeo",))
    with tempfile.TemporaryDirectory(prefix="docker-", dir=paths.run_dir()) as folder:
        archive = f"{folder}/image.tar"
        source, target = f"oci:{store.folder()}:{image}", f"docker-archive:{archive}"
        skopeo.call("copy", "--quiet", source, f"{target}:{name}")
        ENGINE.call("load", "--quiet", f"--input={archive}")


def _info() -> dict[str, Any]:
    found: dict[str, Any] = json.loads(
        ENGINE.call("info", "--format", FACTS, timeout=ANSWER_SECONDS)
    )
    if errors := found.get("ServerErrors"):
        raise LabError("call docker info", "; ".join(errors))
    return found


def _daemon() -> str:
    """Return the address of the daemon that the docker command talks to here."""
    if named := os.environ.get("DOCKER_HOST"):
        return named
    return ENGINE.call("context", "inspect", "--format={{.Endpoints.docker.Host}}")
