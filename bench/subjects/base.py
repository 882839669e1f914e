"""What a subject is: one way to run the image, that can start, watch and stop instances.

An experiment speaks only to these classes, so it cannot treat a VM and a container differently.
"""

from __future__ import annotations

import stat
from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Literal, Self

from bench import io_limit
from labrt.cgroups import Cgroup

if TYPE_CHECKING:
    from bench.marks import MarkReader
    from labrt.images.store import Image

Kind = Literal["process", "container", "vm"]


@dataclass(frozen=True)
class Workload:
    """What an instance runs and what it may use: the same for every subject of a comparison.

    Attributes:
        image: name of an image in the lab's store ("busybox").
        digest: its manifest digest, "sha256:…". The fairness check compares this, not the name.
        cpus: CPUs it may use (1.0 = one vCPU = cpu.max "100000 100000").
        memory: bytes (memory.max; guest RAM).
        io: bytes/s that it may read from its disk, and as many to write; None: no limit.
        scratch: bytes that it gets on the host's disk to write in (`bench.scratch`); None: nothing.
        name: which workload of the image: "ready" = its entry point (ready mark, then wait).
        command: replaces the image's Cmd; what `bench.qemu.command_line` carries. Empty: its own.
        network: whether it must be reached by others over IPv4, as `Instance.reach` tells.
    """

    image: str
    digest: str
    cpus: float = 1.0
    memory: int = 256 * 1024 * 1024
    io: int | None = None
    scratch: int | None = None
    name: str = "ready"
    command: tuple[str, ...] = ()
    network: bool = False


@dataclass(frozen=True)
class Reach:
    """How an instance of a workload with `network` and the host reach one another.

    Attributes:
        address: the instance's IPv4 address, for the host and for other instances.
        host: the host's at the other end of its wire.
        way: what lies between: "veth pair, bridge".
    """

    address: str
    host: str
    way: str


@dataclass
class Stamps:
    """Four times of one start, CLOCK_MONOTONIC nanoseconds of the host, None until seen.

    t0: the call. t1: first instruction of the new instance (clone returned; VM resumed).
    t2: first instruction of its init, as its first mark reached the host.
    t3: its ready mark reached the host.
    """

    t0: int | None = None
    t1: int | None = None
    t2: int | None = None
    t3: int | None = None


class InstanceFailed(Exception):
    """An instance missed a deadline or died; the message is the reason kept as an observation."""


class Instance(ABC):
    """One running instance. Leaving the `with` block destroys it, whatever state it is in."""

    name: str
    stamps: Stamps

    @property
    @abstractmethod
    def marks(self) -> MarkReader:
        """What its entry point writes; once it has begun to start."""

    @abstractmethod
    def wait_ready(self, timeout: float) -> None:
        """Wait, by event, until the ready mark has been stamped.

        Raises:
            InstanceFailed: it died first, or `timeout` seconds passed.
        """

    @abstractmethod
    def stop(self, timeout: float) -> None:
        """Ask it to end (SIGTERM; ACPI power button) and wait, by event, until it is gone and all
        that the host held for it is released.

        Raises:
            InstanceFailed: it was still there after `timeout` seconds.
        """

    @abstractmethod
    def destroy(self) -> None:
        """End it by force and release everything. May be called at any time, and again."""

    @abstractmethod
    def pids(self) -> list[int]:
        """Host pids that exist because of this instance (its processes; its hypervisor)."""

    @abstractmethod
    def cgroup(self) -> Cgroup | None:
        """The cgroup that holds exactly those processes, or None where the host has none for us."""

    def reach(self) -> Reach:
        """Return how others reach it, from the start on.

        Raises:
            InstanceFailed: they don't.
        """
        raise InstanceFailed("it has no address that others reach it by")

    def ended(self) -> bool:
        """Whether it, once ready, has ended by itself: its output ends with it. Costs nothing."""
        return self.marks.ended is not None

    def oom_killed(self) -> bool:
        """Whether the kernel has killed something of it for want of memory, as far as it tells."""
        cgroup = self.cgroup()
        return cgroup is not None and cgroup.oom_kills() > 0

    def extra_memory(self) -> dict[str, int]:
        """Bytes known only to this kind, by metric name (for VMs: "guest_ram_bytes": what of the
        hypervisor process is guest RAM, "hypervisor_bytes": the rest). Default: nothing."""
        return {}

    def steps(self) -> dict[str, float]:
        """Seconds that the steps of its start took by its own account, by name. Default: none."""
        return {}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.destroy()


class Subject(ABC):
    """One way to run the image. A context manager: `with` opens what its instances share."""

    name: ClassVar[str]  # "labrt", "vm": what users type and tables print
    kind: ClassVar[Kind]
    title: ClassVar[str]  # "labrt container", for pictures
    listens: ClassVar[str] = "0.0.0.0"  # where a server in an instance listens, and no further

    @abstractmethod
    def unavailable(self) -> str | None:
        """Return why it can't run here, with the remedy, or None if it can. Starts nothing."""

    def lacks(self, workload: Workload) -> str | None:
        """Return what this workload wants that it hasn't got here, with the remedy, or None if it
        can run it. Starts nothing."""
        if workload.network and (reason := self.no_network()):
            return reason
        return self.no_scratch() if workload.scratch is not None else None

    def no_io_limit(self, scratch: bool = False) -> str | None:
        """Return why it can't limit an instance's disk I/O here, or None if it can.

        Args:
            scratch: the instances have one.
        """
        return io_limit.refusal()

    def no_network(self) -> str | None:
        """Return why it can't run a workload with `network` here, or None if it can."""
        return "the lab joins none of its instances to a network"

    def no_scratch(self) -> str | None:
        """Return why it can't run a workload with `scratch` here, or None if it can."""
        return None

    @abstractmethod
    def conditions(self) -> dict[str, Any]:
        """What its rows must be stamped with besides the workload: for VMs "accelerator",
        "machine", "connection"; for containers "posture". JSON types only."""

    @abstractmethod
    def prepare(self, workload: Workload) -> None:
        """Do once what must not be timed (unpack layers, build the guest, open the connection)."""

    @abstractmethod
    def start(self, workload: Workload, name: str) -> Instance:
        """Start one instance and return at once, without waiting for its ready mark.

        Raises:
            InstanceFailed: it could not be started; nothing is left behind.
        """

    def open(self) -> None:  # noqa: B027 - most need nothing
        """Make the host ready for instances of any image (a launcher, a connection); what isn't
        made ready here, `prepare` does. Default: nothing."""

    def pack(self, image: Image, name: str) -> Image:
        """Return what travels to another host, as an image of the store called `name`, which is
        also the name of `image`. Default: itself."""
        return image

    def unpack(self, packed: Image, workload: Workload) -> None:
        """On the other host, in place of `prepare`: do what lies between the arrival of what
        `pack` returned and the first start of `workload`."""
        self.prepare(workload)

    def contents(self, packed: Image) -> dict[str, int]:
        """Return what has been unpacked, in bytes by kind: "kernel", "guest" (what a VM needs
        besides to run a program), "files" (the image's own)."""
        from labrt.images import layers

        found = [file.lstat() for each in layers.unpacked(packed) for file in each.rglob("*")]
        size = sum(file.st_size for file in found if stat.S_ISREG(file.st_mode))
        return {"kernel": 0, "guest": 0, "files": size}

    def variants(self) -> Mapping[str, Subject]:
        """This subject with one thing changed, by what that is ("no seccomp filter"): the rungs of
        the ladder. They share what `prepare` has opened, and only this one is closed."""
        return {}

    @abstractmethod
    def close(self) -> None:
        """Release what `prepare` opened. Instances are destroyed by their own `with`."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()


def names(subjects: Iterable[Subject]) -> list[str]:
    return [subject.name for subject in subjects]
