"""A container of an OCI runtime: labrt's own container, said in the runtime specification's words.

A runtime takes a root that is there already, so its overlay is mounted within the timed start, in a
mount namespace that lives exactly as long as the container: unshare(1), busybox's mount, and then
the runtime in the same process. It starts the container detached; nothing of it stays.
Host side. Man pages: unshare(1), mount(2), mount_namespaces(7).
"""

from __future__ import annotations

import os
import shutil
import signal
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar

from bench import bridge_hook, bridge_port, io_limit, oci_bundle, oci_cgroups, oci_runtime
from bench.bridge_port import Port
from bench.client import ended
from bench.oci_runtime import Runtime
from bench.scratch import Scratch
from bench.subjects._called import CalledInstance
from bench.subjects.base import Instance, InstanceFailed, Reach, Subject, Workload
from bench.subjects.labrt import VETH
from bench.subjects.process import limits
from labrt import cgroups, paths
from labrt.cgroups import Cgroup, top
from labrt.declare import declare
from labrt.errors import LabError
from labrt.images import layers, store
from labrt.options import given
from labrt.spec import Spec

# Arguments: overlayfs's options, the mount point, and the runtime's command line. Busybox's shell
# mounts by itself; mount(8), a program of its own, would take 2 ms more.
MOUNT = 'mount -t overlay -o "nodev,$1" overlay "$2" && shift 2 && exec "$@"'
START_SECONDS = 10.0  # that a runtime may take to finish a start whose instance is given up


def folder(runtime: Runtime, name: str) -> Path:
    """Return where an instance's bundle and state are."""
    return paths.run_dir() / f"{runtime.name}-{name}"


def remove(runtime: Runtime, bundle: Path) -> None:
    """Kill a container, remove its cgroup, state and bundle; content to find none.

    Raises:
        LabError: it could not be removed.
    """
    if bundle.exists():
        runtime.delete(bundle)
        shutil.rmtree(bundle)


def remove_leftovers(runtime: Runtime) -> list[str]:
    """Remove the containers that a killed bench has left; return their names."""
    bundles = sorted(paths.run_dir().glob(f"{runtime.name}-lab-*"))
    for bundle in bundles:
        remove(runtime, bundle)
    return [bundle.name.removeprefix(f"{runtime.name}-") for bundle in bundles]


class OciInstance(CalledInstance):
    """One container. Its bundle is written before the clock starts."""

    def __init__(self, runtime: Runtime, spec: Spec, scratch: Scratch, network: bool) -> None:
        name = scratch.name
        self._runtime = runtime
        self._bundle = folder(runtime, name)
        self._cgroup = Cgroup(oci_bundle.cgroup_name(spec))
        self._port: Port | None = None
        self._pidfd = -1
        target = str(self._bundle / "rootfs")
        options = oci_bundle.root_options(spec, self._bundle)
        try:
            self._bundle.mkdir()
            if network:
                self._port = bridge_port.lease(name)
            hooks = bridge_hook.hooks(self._port) if self._port else None
            oci_bundle.write(spec, self._bundle, hooks)
            super().__init__(
                name,
                ["unshare", "--mount", "busybox", "sh", "-c", MOUNT, "mount", options, target]
                + runtime.starting(self._bundle),
                scratch=scratch,
            )
        except FileExistsError:
            raise InstanceFailed(f"start {name}: there is one of this name") from None
        except BaseException as error:
            shutil.rmtree(self._bundle)
            self._leave()
            if isinstance(error, LabError | OSError):
                raise InstanceFailed(f"start {name}: {error}") from error
            raise

    def _look(self, timeout: float) -> int:
        if self._client.wait(timeout) is None:
            raise InstanceFailed(f"{self._runtime.name} had not ended when it was ready")
        try:
            pid = oci_runtime.pid(self._bundle)
            self._pidfd = os.pidfd_open(pid)
        except (FileNotFoundError, ProcessLookupError):
            raise InstanceFailed("it ended as soon as it was ready") from None
        return pid

    def stop(self, timeout: float) -> None:
        if self._pidfd < 0:
            raise InstanceFailed("it does not run")
        try:
            signal.pidfd_send_signal(self._pidfd, signal.SIGTERM)
        except ProcessLookupError:
            raise InstanceFailed("it had ended before it was asked to") from None
        if not ended(self._pidfd, timeout):
            raise InstanceFailed(f"still running {timeout:g} s after SIGTERM")
        self.destroy()

    def destroy(self) -> None:
        if self._client.wait(START_SECONDS) is None:
            self._client.kill()
        self._cgroup.kill()  # delete --force would look for its end every 100 ms
        remove(self._runtime, self._bundle)
        oci_cgroups.remove(self._cgroup.name)  # where the runtime didn't get to it
        self._leave()
        self._let_go()

    def _leave(self) -> None:
        if self._port is not None:
            bridge_port.remove(self._port)
            self._port = None

    def _let_go(self) -> None:
        super()._let_go()
        if self._pidfd >= 0:
            os.close(self._pidfd)
            self._pidfd = -1

    def pids(self) -> list[int]:
        return self._cgroup.processes()

    def cgroup(self) -> Cgroup | None:
        return self._cgroup

    def reach(self) -> Reach:
        if self._port is None:
            return super().reach()
        return Reach(self._port.address, self._port.gateway, VETH)


class Oci(Subject):
    """The containers of one runtime."""

    kind: ClassVar = "container"
    runtime: ClassVar[Runtime]

    def unavailable(self) -> str | None:
        if os.geteuid() != 0:
            return "only root may mount its root for it; run with sudo"
        return self.runtime.unavailable() or cgroups.unavailable()

    def no_network(self) -> str | None:
        return bridge_port.unavailable()

    def conditions(self) -> dict[str, Any]:
        return {
            "posture": "labrt's own, as an OCI bundle: all seven namespaces, root mapped to an "
            "unprivileged uid, its capabilities, seccomp filter and masks",
            "version": self.runtime.version(),
            "root": "overlay, mounted by unshare(1) and busybox within the start",
            "network": "none",
            "image_kept": "the layers that labrt has unpacked",
        }

    def prepare(self, workload: Workload) -> None:
        """Unpack the layers."""
        layers.unpacked(store.resolve(workload.image))
        if workload.network:
            bridge_port.remove_leftovers()
        cgroups.refusal(limits(workload))  # asked once, before starts at once would all ask

    def start(self, workload: Workload, name: str) -> Instance:
        scratch = Scratch.mapped(name, workload.scratch)
        with scratch.made():
            spec = replace(self._spec(workload, scratch), cgroup=f"{top()}/{name}")
            return OciInstance(self.runtime, spec, scratch, workload.network)

    def _spec(self, workload: Workload, scratch: Scratch) -> Spec:
        try:
            sizes = {"memory": workload.memory, "cpus": workload.cpus}
            more = {"volume": scratch.volumes, **io_limit.options(workload.io)}
            wishes = given(hostname=scratch.name, **sizes, **more)
            return declare(store.resolve(workload.image), workload.command, wishes)
        except LabError as error:
            raise InstanceFailed(str(error)) from error

    def close(self) -> None:
        """Nothing is shared between instances."""
