"""A labrt container: the image's layers as its root, all namespaces, the same limits.

It is started through the library, so by the launcher: a warm process, as an engine's daemon is.
Everything here runs on the host side.
"""

from __future__ import annotations

import os
import signal
import time
from typing import Any, ClassVar

from bench import io_limit
from bench.marks import INIT, READY, MarkReader
from bench.subjects.base import Instance, InstanceFailed, Stamps, Subject, Workload
from bench.subjects.process import limits
from labrt import cgroups
from labrt.cgroups import Cgroup
from labrt.client import Container, run
from labrt.errors import LabError
from labrt.launching import launcher


class LabrtInstance(Instance):
    """One container."""

    def __init__(self, name: str, workload: Workload, **options: Any) -> None:
        self.name = name
        self.stamps = Stamps(t0=time.monotonic_ns())
        ours, theirs = os.pipe()
        self._marks = MarkReader(ours)
        try:
            self._container: Container = run(
                workload.image,
                workload.command,
                hostname=name,
                memory=str(workload.memory),
                cpus=workload.cpus,
                stdout=theirs,
                stderr=theirs,
                **io_limit.options(workload.io),
                **options,
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
        try:
            self.stamps.t3 = self._marks.wait(READY, timeout)
        except InstanceFailed as error:
            raise InstanceFailed(f"{error}{self._marks.evidence()}") from error
        self.stamps.t2 = self._marks.stamp(INIT)

    def stop(self, timeout: float) -> None:
        self._container.signal(signal.SIGTERM)
        if self._container.wait(timeout) is None:
            raise InstanceFailed(f"still running {timeout:g} s after SIGTERM")
        self.destroy()

    def destroy(self) -> None:
        self._container.close()
        self._marks.close()

    def pids(self) -> list[int]:
        cgroup = self._container.cgroup
        return [self._container.pid] if cgroup is None else cgroup.processes()

    def cgroup(self) -> Cgroup | None:
        return self._container.cgroup

    def oom_killed(self) -> bool:
        """The launcher tells of one that has ended: its cgroup may be gone."""
        return super().oom_killed() or (
            self._container.wait(0) is not None and self._container.oom_killed
        )


class Labrt(Subject):
    name: ClassVar = "labrt"
    kind: ClassVar = "container"
    title: ClassVar = "labrt container"
    options: ClassVar[dict[str, Any]] = {}  # what it gets besides, as labrt.run() takes it

    def unavailable(self) -> str | None:
        return cgroups.unavailable()

    def conditions(self) -> dict[str, Any]:
        return {
            "posture": "all seven namespaces, root mapped to an unprivileged uid",
            "network": self.options.get("network", "none"),
        }

    def prepare(self, workload: Workload) -> None:
        """Unpack the layers and start the launcher."""
        from labrt.images import layers, store

        layers.unpacked(store.resolve(workload.image))
        cgroups.refusal(limits(workload))  # asked once, before starts at once would all ask
        launcher()

    def start(self, workload: Workload, name: str) -> Instance:
        return LabrtInstance(name, workload, **self.options)

    def close(self) -> None:
        """The launcher is the process's own and ends with it."""
