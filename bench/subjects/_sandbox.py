"""A container of a tool that sets a process apart and leaves root and limits to its caller.

One shell does what the tool doesn't, within the timed start: in a mount namespace that lives as
long as the container it moves itself into the instance's cgroup, where all that it starts is found,
mounts the image's layers as one root, and becomes the tool. The tool stays outside as the monitor
of its container and ends with it: its end is the event.
Host side. Man pages: unshare(1), mount(2), cgroups(7).
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
from abc import abstractmethod
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar

from bench import oci_bundle, oci_cgroups
from bench.scratch import Scratch
from bench.subjects._called import CalledInstance, first
from bench.subjects.base import Instance, InstanceFailed, Subject, Workload
from bench.subjects.process import limits
from labrt import cgroups, paths
from labrt.cgroups import Cgroup
from labrt.declare import declare
from labrt.errors import LabError
from labrt.images import layers, store
from labrt.options import given
from labrt.spec import Spec

# Arguments: overlayfs's options, the mount point, the files that let into the cgroup ("0" is the
# writer's own id), "--", and the tool's command line. All of it busybox's own commands.
BECOME = (
    "options=$1 target=$2; shift 2; "
    'while [ "$1" != -- ]; do echo 0 >"$1" || exit; shift; done; shift; '
    'mount -t overlay -o "nodev,$options" overlay "$target" || exit; exec "$@"'
)


def remove_leftovers(tool: str) -> list[str]:
    """Remove the containers that a killed bench has left; return their names."""
    bundles = sorted(paths.run_dir().glob(f"{tool}-lab-*"))
    names = [bundle.name.removeprefix(f"{tool}-") for bundle in bundles]
    for bundle, name in zip(bundles, names, strict=True):
        oci_cgroups.remove(oci_cgroups.name(name))
        shutil.rmtree(bundle)
    return names


class SandboxInstance(CalledInstance):
    """One container and the tool that waits for it."""

    def __init__(
        self, tool: str, workload: Workload, spec: Spec, bundle: Path, scratch: Scratch
    ) -> None:
        name = scratch.name
        self._scratch = scratch
        self._tool = tool
        self._bundle = bundle
        self._limits = limits(workload)
        self._cgroup = Cgroup(oci_cgroups.name(name))
        self._first = 0  # pid
        options, target = oci_bundle.root_options(spec, bundle), str(bundle / "rootfs")
        doors = map(str, oci_cgroups.doors(self._cgroup))
        shell = ["busybox", "sh", "-c", BECOME, "become", options, target, *doors]
        try:
            words = ["unshare", "--mount", *shell, "--", *self.command(spec)]
            super().__init__(name, words, scratch=scratch)
        except BaseException as error:
            self._remove()
            if isinstance(error, LabError):
                raise InstanceFailed(f"start {name}: {error}") from error
            raise

    @abstractmethod
    def command(self, spec: Spec) -> list[str]:
        """Return the tool's command line for the container of `spec`, whose root is mounted."""

    def _before(self) -> None:
        Cgroup.create(self._cgroup.name, self._limits)

    def _look(self, timeout: float) -> int:
        self._first = first(self._cgroup.processes())
        return self._first

    def stop(self, timeout: float) -> None:
        """The client isn't reaped before its container's first process: the pid is still its."""
        if not self._first or not self._client.alive:
            raise InstanceFailed("it does not run")
        os.kill(self._first, signal.SIGTERM)
        if self._client.wait(timeout) is None:
            raise InstanceFailed(f"still running {timeout:g} s after SIGTERM")
        self.destroy()

    def destroy(self) -> None:
        oci_cgroups.empty(self._cgroup.name)
        self._client.kill()  # which may not have been in it yet
        self._remove()
        self._let_go()

    def _remove(self) -> None:
        """Kill what is left of it; content to find nothing."""
        oci_cgroups.remove(self._cgroup.name)
        if self._bundle.exists():
            shutil.rmtree(self._bundle)

    def pids(self) -> list[int]:
        return self._cgroup.processes()

    def cgroup(self) -> Cgroup | None:
        return self._cgroup


class Sandbox(Subject):
    """The containers of one tool.

    Class attributes:
        tool: its program. package: what brings it.
        posture: how its containers are set apart.
        instance: the class of one.
    """

    kind: ClassVar = "container"
    tool: ClassVar[str]
    package: ClassVar[str]
    posture: ClassVar[str]
    instance: ClassVar[type[SandboxInstance]]

    def unavailable(self) -> str | None:
        if shutil.which(self.tool) is None:
            return f"{self.tool} is not installed; apt-get install {self.package}"
        if os.geteuid() != 0:
            return "only root may mount its root for it; run with sudo"
        return cgroups.unavailable()

    def conditions(self) -> dict[str, Any]:
        told = subprocess.run([self.tool, "--version"], capture_output=True, text=True, timeout=10)
        return {
            "posture": self.posture,
            "version": told.stdout.partition("\n")[0],
            "root": "overlay, mounted by unshare(1) and busybox within the start",
            "network": "none",
            "image_kept": "the layers that labrt has unpacked",
        }

    def prepare(self, workload: Workload) -> None:
        """Unpack the layers."""
        layers.unpacked(store.resolve(workload.image))

    def start(self, workload: Workload, name: str) -> Instance:
        scratch = self._scratch(workload, name)
        with scratch.made():
            return self._started(workload, name, scratch)

    def _scratch(self, workload: Workload, name: str) -> Scratch:
        """Return the instance's scratch, of the container's root."""
        return Scratch.mapped(name, workload.scratch)

    def _started(self, workload: Workload, name: str, scratch: Scratch) -> SandboxInstance:
        bundle = paths.run_dir() / f"{self.tool}-{name}"
        try:
            wishes = given(memory=str(workload.memory), cpus=workload.cpus, hostname=name)
            spec = declare(store.resolve(workload.image), workload.command, wishes)
            bundle.mkdir()
            oci_bundle.write(replace(spec, cgroup=oci_cgroups.name(name)), bundle)
        except FileExistsError:
            raise InstanceFailed(f"start {name}: there is one of this name") from None
        except (LabError, OSError) as error:
            raise InstanceFailed(str(error)) from error
        return self.instance(self.tool, workload, spec, bundle, scratch)

    def close(self) -> None:
        """Nothing is shared between instances."""
