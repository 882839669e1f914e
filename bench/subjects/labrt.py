"""A labrt container: the image's layers as its root, all namespaces, the same limits.

It is started through the library, so by the launcher: a warm process, as an engine's daemon is.
Everything here runs on the host side.
"""

from __future__ import annotations

import copy
import os
import signal
import time
from collections.abc import Mapping
from typing import Any, ClassVar

from bench import bridge_port, io_limit
from bench.marks import MarkReader
from bench.scratch import Scratch
from bench.subjects.base import Instance, InstanceFailed, Reach, Stamps, Subject, Workload
from bench.subjects.process import limits
from labrt import cgroups, networks
from labrt.cgroups import Cgroup
from labrt.client import Container, run
from labrt.errors import LabError
from labrt.launching import launcher

VETH = "veth pair, bridge"  # the way to a container on labrt's bridge
# One thing of a container left out, as labrt.run() takes it (docs/recipe.md).
VARIANTS: dict[str, dict[str, Any]] = {
    "no limits": {"skip": ("SetLimit",)},
    "no network namespace": {"network": "host"},
    "loopback stays down": {"skip": ("RaiseLoopback",)},
    "no pid namespace": {"pid": "host"},
    "no ipc namespace": {"ipc": "host"},
    "no uts namespace": {"uts": "host", "hostname": None},
    "no host name of its own": {"skip": ("SetHostname",)},
    "no cgroup namespace": {"cgroupns": "host"},
    "nothing masked": {"skip": ("MaskPath", "MakeReadOnly")},
    "capabilities kept": {"skip": ("DropBoundingSet", "SetCapabilities")},
    "no seccomp filter": {"security_opt": ("seccomp=unconfined",)},
    "privileged": {"privileged": True},
}


class LabrtInstance(Instance):
    """One container."""

    def __init__(self, workload: Workload, scratch: Scratch, **options: Any) -> None:
        self.name = name = scratch.name
        self._scratch = scratch
        limits = {"memory": str(workload.memory), "cpus": workload.cpus}
        wishes = {"hostname": name, "volume": scratch.volumes, **limits, **options}
        self.stamps = Stamps(t0=time.monotonic_ns())
        ours, theirs = os.pipe()
        self._marks = MarkReader(ours)
        try:
            self._container: Container = run(
                workload.image,
                workload.command,
                stdout=theirs,
                stderr=theirs,
                **io_limit.options(workload.io),
                **wishes,
            )
        except BaseException as error:
            self._marks.close()
            if isinstance(error, LabError | OSError):
                raise InstanceFailed(str(error)) from error
            raise
        finally:
            os.close(theirs)
        self.stamps.t1 = self._container.cloned

    @property
    def marks(self) -> MarkReader:
        return self._marks

    def wait_ready(self, timeout: float) -> None:
        self._marks.wait_ready(self.stamps, timeout)

    def stop(self, timeout: float) -> None:
        self._container.signal(signal.SIGTERM)
        if self._container.wait(timeout) is None:
            raise InstanceFailed(f"still running {timeout:g} s after SIGTERM")
        self.destroy()

    def destroy(self) -> None:
        self._container.close()
        self._marks.close()
        self._scratch.remove()

    def pids(self) -> list[int]:
        cgroup = self._container.cgroup
        return [self._container.pid] if cgroup is None else cgroup.processes()

    def cgroup(self) -> Cgroup | None:
        return self._container.cgroup

    def reach(self) -> Reach:
        return reach_of(self._container.spec.id) or super().reach()

    def steps(self) -> dict[str, float]:
        took: dict[str, float] = {}
        for step in self._container.trace:
            took[step.name] = took.get(step.name, 0.0) + step.duration / 1e9
        return took

    def oom_killed(self) -> bool:
        """The launcher tells of one that has ended: its cgroup may be gone."""
        return super().oom_killed() or (
            self._container.wait(0) is not None and self._container.oom_killed
        )


def reach_of(holder: str) -> Reach | None:
    """Return how a container on labrt's bridge is reached, by its id; None if it isn't there."""
    if network := networks.find(networks.DEFAULT):
        for lease in networks.leases(network):
            if lease.holder == holder:
                return Reach(lease.address, network.gateway, VETH)
    return None


class Labrt(Subject):
    name: ClassVar = "labrt"
    kind: ClassVar = "container"
    title: ClassVar = "labrt container"
    options: Mapping[str, Any] = {}  # what it gets besides, as labrt.run() takes it

    def unavailable(self) -> str | None:
        return cgroups.unavailable()

    def no_network(self) -> str | None:
        return bridge_port.unavailable()

    def conditions(self) -> dict[str, Any]:
        return {
            "posture": "all seven namespaces, root mapped to an unprivileged uid",
            "network": self.options.get("network", "none"),
        }

    def variants(self) -> Mapping[str, Subject]:
        return {said: self._with(options) for said, options in VARIANTS.items()}

    def _with(self, options: Mapping[str, Any]) -> Labrt:
        other = copy.copy(self)
        other.options = {**self.options, **options}
        return other

    def prepare(self, workload: Workload) -> None:
        """Unpack the layers and start the launcher."""
        from labrt.images import layers, store

        layers.unpacked(store.resolve(workload.image))
        cgroups.refusal(limits(workload))  # asked once, before starts at once would all ask
        self.open()

    def open(self) -> None:
        """Start the launcher."""
        launcher()

    def start(self, workload: Workload, name: str) -> Instance:
        bridge = {"network": networks.DEFAULT} if workload.network else {}
        scratch = Scratch.mapped(name, workload.scratch)
        with scratch.made():
            return LabrtInstance(workload, scratch, **{**bridge, **self.options})

    def close(self) -> None:
        """The launcher is the process's own and ends with it."""
