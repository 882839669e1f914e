"""What an instance tells of its work by marks, and how long the host saw it take.

    lab:begin PART          the work begins
    lab:end PART COUNT      … and has ended; COUNT units of it were done
    lab:said KEY VALUE      something it has found out, in words
    lab:done                nothing more will come

Both ends of a time are stamped by the host as the lines arrive: a guest's clock is what its
hypervisor makes it.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from bench.subjects.base import InstanceFailed

DONE = "lab:done"


@dataclass(frozen=True)
class Part:
    """One piece of work.

    Attributes:
        seconds: from the arrival of its begin to that of its end.
        count: units of work, at least 1.
    """

    seconds: float
    count: int

    @property
    def each(self) -> float:
        """Seconds per unit."""
        return self.seconds / self.count

    @property
    def rate(self) -> float:
        """Units per second."""
        return self.count / self.seconds


@dataclass(frozen=True)
class Work:
    """All that an instance has told."""

    parts: dict[str, Part]
    said: dict[str, str]


def read(marks: Iterable[tuple[int, str]]) -> Work:
    """Read marks (stamp in nanoseconds, line).

    Raises:
        InstanceFailed: they make no sense.
    """
    begun: dict[str, int] = {}
    parts: dict[str, Part] = {}
    said: dict[str, str] = {}
    for stamp, line in marks:
        match line.split(" ", 2):
            case ["lab:begin", name]:
                begun[name] = stamp
            case ["lab:end", name, count] if name in begun and count.isdecimal() and int(count):
                if stamp == begun[name]:
                    raise InstanceFailed(f"the work {name} was too short to be timed")
                parts[name] = Part((stamp - begun.pop(name)) / 1e9, int(count))
            case ["lab:said", key, value]:
                said[key] = value
            case ["lab:begin" | "lab:end" | "lab:said", *_]:
                raise InstanceFailed(f"it wrote {line[:80]!r}, which makes no sense here")
    return Work(parts, said)
