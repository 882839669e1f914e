"""Networks: what containers are joined to, by name, and who has which address (hosts(5)).

    LAB_HOME/networks/NAME/
        network     {"subnet": …, "gateway": …}
        hosts       a line for each of its containers: address, names, "# id"

That hosts file is the table of leases: an address in it is taken. It is also what the containers'
own /etc/hosts repeat, so that they know each other by name without a name server. A lease whose
container's folder is gone is stale, and free. (What the bench joins to a network without labrt,
such as a virtual machine, has a file in LAB_HOME/ports instead.)

Everything here happens under one lock, which all labs of the host share, for they share its routes
and its ports.

Host side. Lesson: notebook 06.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import NamedTuple

from labrt import bridge, paths, subnets
from labrt.errors import LabError

DEFAULT = "bridge"
NAME = r"[A-Za-z0-9][A-Za-z0-9_.-]{0,62}"
# Where in LAB_HOME the holder of a lease is found for as long as there is one.
HOLDERS = ("containers", "ports")
RESERVED = ("none", "host", "pasta", "default", "container", "ns")
# As /run/xtables.lock for iptables: root's, and shared by everybody who changes the same things.
LOCK = "/run/labrt-network.lock"


@dataclass(frozen=True)
class Network:
    """A network as it was defined: "10.201.0.0/20", "10.201.0.1"."""

    name: str
    subnet: str
    gateway: str

    @property
    def bridge(self) -> str:
        return bridge.name_of(self.name)

    @property
    def prefix(self) -> int:
        return int(self.subnet.partition("/")[2])


class Lease(NamedTuple):
    """One line of the hosts file: an address, the names it is known by, and the container's id."""

    address: str
    names: tuple[str, ...]
    holder: str

    def __str__(self) -> str:
        return f"{self.address}\t{' '.join(self.names)}\t# {self.holder}"


def folder() -> Path:
    return paths.home() / "networks"


@contextmanager
def locked() -> Iterator[None]:
    """Keep every other process of any lab out; the kernel lets go when this one dies (flock(2)).

    Raises:
        LabError: this user isn't root.
    """
    if os.geteuid() != 0:
        raise LabError(
            "change the host's networks", "that takes root", remedy="use --network pasta"
        )
    with paths.locked(Path(LOCK)):
        yield


def names() -> list[str]:
    """Return the names of this lab's networks."""
    return sorted(file.parent.name for file in folder().glob("*/network"))


def find(name: str) -> Network | None:
    """Return a network of this lab; None where it isn't defined."""
    try:
        return Network(name, **json.loads((folder() / name / "network").read_text()))
    except FileNotFoundError:
        return None


def existing(name: str) -> Network:
    """Return a network of this lab.

    Raises:
        LabError: it isn't defined.
    """
    if not re.fullmatch(NAME, name) or (network := find(name)) is None:
        raise LabError(
            f"find the network {name!r}",
            "there is none of this name",
            remedy=f"labrt network create {name}, or labrt network ls",
        )
    return network


def create(name: str, subnet: str | None = None, gateway: str | None = None) -> Network:
    """Define a network. It costs the host nothing until a container is in it.

    Args:
        subnet: "10.7.0.0/24"; default: the first candidate that is free.
        gateway: the host's own address in it; default: the first.

    Raises:
        LabError: the name is taken or none; the subnet overlaps a route of the host or another
            network; the gateway lies outside.
    """
    tried = f"create the network {name!r}"
    if not re.fullmatch(NAME, name) or name in (*RESERVED, DEFAULT):
        raise LabError(tried, "not a name for one", remedy="letters, digits, and _ . - within")
    if subnet:
        subnets.check(tried, subnet)
    with locked():
        if find(name):
            raise LabError(tried, "there is one of this name", remedy=f"labrt network rm {name}")
        taken = bridge.routed() + _defined()
        chosen = subnet or subnets.first_free(tried, taken)
        subnets.refuse_overlap(tried, chosen, taken)
        network = Network(name, chosen, gateway or next(subnets.hosts(chosen)))
        check_address(network, network.gateway)
        return _write(network)


def _defined() -> list[str]:
    return [network.subnet for network in map(existing, names())]


def _write(network: Network) -> Network:
    target = folder() / network.name
    paths.make_passable(target)
    values = {key: value for key, value in asdict(network).items() if key != "name"}
    paths.write_whole(target / "network", json.dumps(values).encode())
    return network


def remove(name: str) -> None:
    """Remove a network that no container is in.

    Raises:
        LabError: there is none of this name, or a container is in it.
    """
    with locked():
        network = existing(name)
        if living := leases(network):
            raise LabError(
                f"remove the network {name!r}",
                f"{', '.join(lease.holder for lease in living)} is in it",
                remedy="remove its containers first",
            )
        _take_down(network)
        _erase(network)


def remove_unused() -> list[str]:
    """Take down what a crash has left: bridges without containers, with their rules.

    Networks that were created stay defined.

    Returns:
        The names of the networks whose bridge was there.
    """
    if not names():
        return []
    with locked():
        idle = [network for network in map(existing, names()) if not leases(network)]
        there = [network.name for network in idle if bridge.exists(network.bridge)]
        for network in idle:
            _settle(network)
    return there


def leases(network: Network) -> list[Lease]:
    """Return the leases of those that are still there."""
    try:
        lines = (folder() / network.name / "hosts").read_text().splitlines()
    except FileNotFoundError:
        return []
    return [lease for line in lines if _is_there((lease := _lease(line)).holder)]


def _is_there(holder: str) -> bool:
    return any((paths.home() / kind / holder).exists() for kind in HOLDERS)


def _lease(line: str) -> Lease:
    address, known_as, holder = line.split("\t")
    return Lease(address, tuple(known_as.split()), holder.removeprefix("# "))


def join(
    name: str, holder: str, known_as: tuple[str, ...], wish: str = ""
) -> tuple[Network, Lease]:
    """Lease an address of a network to a container, and see to the network's bridge.

    Args:
        known_as: what the others may call it.
        wish: the address it asks for; default: the lowest free one.

    Raises:
        LabError: the address is taken or outside, the network is full, gone, or overlaps a route.
        OSError: the kernel's answer. What was done is undone by `leave`.
    """
    with locked():
        network = find(name) or _create_default(name)
        others = [lease for lease in leases(network) if lease.holder != holder]
        lease = Lease(_address(network, others, wish), known_as, holder)
        _write_leases(network, [*others, lease])
        if not bridge.is_ready(network.bridge):
            _raise_bridge(network)
    return network, lease


def _create_default(name: str) -> Network:
    """The default network is defined anew by its first container: its subnet is always free."""
    if name != DEFAULT:
        return existing(name)
    tried = "make the default network"
    subnet = subnets.first_free(tried, bridge.routed() + _defined())
    return _write(Network(name, subnet, next(subnets.hosts(subnet))))


def _address(network: Network, others: list[Lease], wish: str) -> str:
    taken = {network.gateway: "the host"} | {lease.address: lease.holder for lease in others}
    if wish:
        check_address(network, wish)
    if wish in taken:
        raise LabError(
            f"take the address {wish} in the network {network.name!r}",
            f"{taken[wish]} has it",
            remedy="ask for another, or for none",
        )
    free = wish or next((host for host in subnets.hosts(network.subnet) if host not in taken), "")
    if not free:
        raise LabError(f"join the network {network.name!r}", f"all of {network.subnet} is in use")
    return free


def check_address(network: Network, address: str) -> None:
    """Refuse an address that nobody in the network can have.

    Raises:
        LabError: it lies outside, or is the subnet's own or its broadcast address.
    """
    if not subnets.is_host_of(network.subnet, address):
        raise LabError(
            f"take the address {address} in the network {network.name!r}",
            f"it is no host of {network.subnet}",
            remedy="ask for one within",
        )


def _raise_bridge(network: Network) -> None:
    _take_down(network)  # what a maker who died has left
    tried = f"raise the network {network.name!r}"
    subnets.refuse_overlap(tried, network.subnet, bridge.routed())
    bridge.make(network.bridge, network.subnet, network.gateway)


def leave(name: str, holder: str) -> None:
    """End a container's lease, and take the bridge down after the last; content to find neither."""
    network = find(name)
    if network is None:
        return
    with locked():
        living = leases(network)
        others = [lease for lease in living if lease.holder != holder]
        if others != living:
            _write_leases(network, others)
        if not others:
            _settle(network)


def _settle(network: Network) -> None:
    _take_down(network)
    if network.name == DEFAULT:
        _erase(network)


def _take_down(network: Network) -> None:
    others = [bridge.name_of(name) for name in names() if name != network.name]
    bridge.remove(network.bridge, network.subnet, last=not any(map(bridge.exists, others)))


def _erase(network: Network) -> None:
    place = folder() / network.name
    for file in place.iterdir():  # also one that somebody was writing who was killed
        file.unlink()
    place.rmdir()


def _write_leases(network: Network, living: list[Lease]) -> None:
    """Write the table; then each container's own hosts file, in place, for it is mounted there."""
    table = "".join(f"{lease}\n" for lease in living)
    paths.write_whole(folder() / network.name / "hosts", table.encode())
    text, containers = neighbours(living), paths.home() / "containers"
    for lease in living:
        write_neighbours(f"{containers}/{lease.holder}/hosts", text)


# What stands before it in a container's hosts file is its own; what follows, its network's.
NEIGHBOURS = b"# containers of this network\n"


def neighbours(living: list[Lease]) -> bytes:
    """Return what the hosts file of each container in a network ends with."""
    lines = (f"{lease.address}\t{' '.join(lease.names)}\n" for lease in living)
    return NEIGHBOURS + "".join(lines).encode()


def write_neighbours(file: str, text: bytes) -> None:
    """Replace the end of a container's hosts file; content to find no such file: then it isn't
    written yet, and will be with all of them."""
    try:
        fd = os.open(file, os.O_RDWR | os.O_CLOEXEC)
    except FileNotFoundError:
        return
    own = os.pread(fd, os.fstat(fd).st_size, 0).partition(NEIGHBOURS)[0]
    os.pwrite(fd, text, len(own))
    os.ftruncate(fd, len(own) + len(text))
    os.close(fd)
