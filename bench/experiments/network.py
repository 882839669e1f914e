"""Network: TCP between an instance and the host, and between two instances."""

from __future__ import annotations

from dataclasses import replace
from typing import ClassVar

from bench import work
from bench.experiments._work import PROGRAM, Quantity, WorkExperiment
from bench.experiments.base import Settings, Trial
from bench.subjects.base import Instance, InstanceFailed, Kind, Workload
from bench.subjects.process import Process
from bench.work import Work

SERVER = Process()  # what the host's server is: the same program, with the same limits
ASKED = {"host": ("roundtrip", "send", "receive"), "pair": ("roundtrip", "send")}
TRIP = Quantity("each", "s", lambda part: part.each)
RATE = Quantity("rate", "B/s", lambda part: part.rate)


class Network(WorkExperiment):
    name: ClassVar = "network"
    title: ClassVar = "Network"
    question: ClassVar = (
        "How long does a message take, and how many bytes a second, between an instance and the "
        "host, and between two instances?"
    )
    method: ClassVar = PROGRAM + (
        " Two instances, with one CPU each, on an otherwise idle host, all subjects interleaved in "
        "random order. Both are on labrt's bridge, a container by a veth pair, a VM by virtio-net "
        "on a tap device; plain processes use the loopback. One instance asks, by TCP over IPv4, a "
        "server on the host, at the bridge's own address (host), and then one in the other "
        "instance (pair). roundtrip: a byte there and back, 5,000 times, without Nagle's delay; "
        "shown is the time of one. send and receive: 256 MiB to the server and from it; a send "
        "ends when the server has said that all of it is there. Between two alike both directions "
        "are the same path. Connecting is in none of these."
    )
    limits: ClassVar = (
        "Nothing leaves this host: there is no wire in it. The limit of one CPU holds for an "
        "instance's own processes: what the host's kernel does for a bridge, and a hypervisor's "
        "thread for a card, comes on top. Under TCG the guest's kernel is emulated and QEMU moves "
        "every packet; under KVM with vhost-net the host's kernel does, so the one tells nothing "
        "of the other. A roundtrip of processes takes several times as long where the kernel runs "
        "the two ends on two CPUs instead of on one. One connection; UDP, many short connections "
        "and IPv6 aren't tried."
    )
    parts: ClassVar = tuple(f"{whom}-{what}" for whom, asked in ASKED.items() for what in asked)

    def workload(self, asked: Workload) -> Workload:
        return replace(super().workload(asked), network=True, command=serve("0.0.0.0"))

    def guess(self, kind: Kind, settings: Settings) -> float:
        return 10.0 if kind == "vm" else 1.0

    def quantity(self, name: str) -> Quantity:
        return TRIP if name.endswith("roundtrip") else RATE

    def measure(self, trial: Trial) -> None:
        server = trial.start_with(serve(trial.subject.listens))
        reach = server.reach()
        trial.conditions["network"] = reach.way
        host = trial.start_with(serve(reach.host), SERVER)
        client = trial.start_with(
            (
                *ask("host", reach.host, trial.work(host)),
                *ask("pair", reach.address, trial.work(server)),
            )
        )
        self.keep(trial, *told(trial, client))


def serve(address: str) -> tuple[str, ...]:
    """Return the command of a server, at this address of its own."""
    return (f"serve:{address}",)


def ask(whom: str, address: str, server: Work) -> tuple[str, ...]:
    """Return the words of a client's command that ask a server.

    Args:
        server: what it has told: its port.
    """
    return (f"to:{whom}:{address}:{server.said['port']}", *ASKED[whom])


def told(trial: Trial, client: Instance) -> tuple[Work, str]:
    """Return what a client has measured, though it failed on the way; and why the rest is missing.

    Raises:
        InstanceFailed: all of it is.
    """
    try:
        return trial.work(client), "it never did this part"
    except InstanceFailed as error:
        done = work.read(client.marks.seen())
        if not done.parts:
            raise
        return done, str(error)
