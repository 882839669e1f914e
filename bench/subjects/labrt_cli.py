"""A labrt container from the command line: `labrt run`, as users type it, stays in the foreground.

Each start pays for a Python of its own, which then waits for the container and belongs to what the
instance takes. Host side.
"""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path
from typing import Any, ClassVar

from bench import bridge_port, io_limit
from bench.scratch import Scratch
from bench.subjects._called import CalledInstance, first
from bench.subjects.base import Instance, InstanceFailed, Reach, Subject, Workload
from bench.subjects.labrt import reach_of
from labrt import cgroups, removal, state
from labrt.cgroups import Cgroup
from labrt.errors import LabError

ROOT = Path(__file__).parent.parent.parent
ORPHAN_SECONDS = 30.0


class LabrtCliInstance(CalledInstance):
    """One container and the command that waits for it."""

    def __init__(self, workload: Workload, scratch: Scratch) -> None:
        self._cgroup: Cgroup | None = None
        self._id = ""
        name = scratch.name
        options = [
            f"--memory={workload.memory}",
            f"--cpus={workload.cpus:g}",
            f"--name={name}",
            f"--hostname={name}",
            *(("--network=bridge",) if workload.network else ()),
            *io_limit.words(workload.io),
            *scratch.words,
        ]
        super().__init__(
            name,
            [
                *(sys.executable, "-m", "labrt.cli", "run", "--rm"),
                *options,
                workload.image,
                *workload.command,
            ],
            {**os.environ, "PYTHONPATH": str(ROOT)},
            scratch,
        )

    def _look(self, timeout: float) -> int:
        try:
            record = state.read_record(state.find(self.name))
        except LabError as error:
            raise InstanceFailed(f"it ended as soon as it was ready: {error}") from None
        assert record is not None, "its owner lives, and wrote it before the start"
        self._id = record.spec.id
        self._cgroup = Cgroup(record.spec.cgroup)
        return first(self._cgroup.processes())

    def destroy(self) -> None:
        if self._client.alive:
            self._client.kill()
            self._remove()
        self._let_go()

    def _remove(self) -> None:
        """Remove what a killed command has left, as the next `labrt run` would; it may have no name
        yet. If it has, it may have a child, which ends with it, and until then holds the lock that
        it has inherited (flock(2))."""
        deadline = time.monotonic() + ORPHAN_SECONDS
        removal.remove_dead()
        while (state.names_dir() / self.name).is_symlink():
            if time.monotonic() > deadline:
                raise InstanceFailed(f"its process outlived its command by {ORPHAN_SECONDS:g} s")
            time.sleep(0.001)
            removal.remove_dead()

    def pids(self) -> list[int]:
        inside = self._cgroup.processes() if self._cgroup else []
        return [self._client.pid, *inside] if self._client.alive else inside

    def cgroup(self) -> Cgroup | None:
        """The command that waits is outside."""
        return None

    def reach(self) -> Reach:
        return reach_of(self._id) or super().reach()


class LabrtCli(Subject):
    name: ClassVar = "labrt-cli"
    kind: ClassVar = "container"
    title: ClassVar = "labrt command"

    def unavailable(self) -> str | None:
        return cgroups.unavailable()

    def no_network(self) -> str | None:
        return bridge_port.unavailable()

    def conditions(self) -> dict[str, Any]:
        return {
            "posture": "all seven namespaces, root mapped to an unprivileged uid",
            "network": "none",
        }

    def prepare(self, workload: Workload) -> None:
        """Unpack the layers."""
        from labrt.images import layers, store

        layers.unpacked(store.resolve(workload.image))

    def start(self, workload: Workload, name: str) -> Instance:
        scratch = Scratch.mapped(name, workload.scratch)
        with scratch.made():
            return LabrtCliInstance(workload, scratch)

    def close(self) -> None:
        """A command that was killed leaves the lab's own cgroup."""
        cgroups.remove_top()
