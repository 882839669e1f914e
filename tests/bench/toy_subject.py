"""A subject that runs nothing and does what a test tells it, to see what the runner makes of it."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Any, ClassVar

from bench.marks import MarkReader
from bench.subjects.base import Instance, InstanceFailed, Stamps, Subject, Workload
from labrt.cgroups import Cgroup


class ToyInstance(Instance):
    """Ready at once. `fault` is called with "ready", "stop" or "destroy", and may raise."""

    def __init__(self, name: str, owner: Toy) -> None:
        self.name = name
        now = time.monotonic_ns()
        self.stamps = Stamps(now, now + 1000, now + 2000, now + 3000)
        self._owner = owner

    @property
    def marks(self) -> MarkReader:
        raise InstanceFailed("a toy writes nothing")

    def wait_ready(self, timeout: float) -> None:
        self._owner.fault("ready")

    def stop(self, timeout: float) -> None:
        self._owner.fault("stop")
        self.destroy()

    def destroy(self) -> None:
        self._owner.alive.pop(self.name, None)
        self._owner.fault("destroy")

    def ended(self) -> bool:
        return self.name not in self._owner.alive

    def pids(self) -> list[int]:
        return []

    def cgroup(self) -> Cgroup | None:
        return None


class Toy(Subject):
    """Keeps its living instances in `alive`, and the number of all it has started."""

    kind: ClassVar = "process"
    title: ClassVar = "toy"

    def __init__(self, name: str = "toy", fault: Callable[[str], None] = lambda at: None) -> None:
        self.name = name  # type: ignore[misc]
        self.fault = fault
        self.alive: dict[str, ToyInstance] = {}
        self.started = 0
        self.closed = False
        self._lock = threading.Lock()

    def unavailable(self) -> str | None:
        return None

    def conditions(self) -> dict[str, Any]:
        return {"posture": "toy"}

    def prepare(self, workload: Workload) -> None:
        self.fault("prepare")

    def start(self, workload: Workload, name: str) -> Instance:
        self.fault("start")
        with self._lock:
            self.started += 1
        self.alive[name] = ToyInstance(name, self)
        return self.alive[name]

    def close(self) -> None:
        self.closed = True


def fails_at(*places: str, with_: type[Exception] = InstanceFailed) -> Callable[[str], None]:
    """Return a fault that raises at those places, every time."""

    def fault(at: str) -> None:
        if at in places:
            raise with_(f"told to fail at {at}")

    return fault
