"""A port of labrt's bridge for what labrt didn't start: a VM's tap device, another runtime's veth.

The bridge is the one that labrt's containers are on (`--network bridge`), and the address is from
the same leases: what lies between an instance and the host differs in its network card alone.

    LAB_HOME/ports/HOLDER    locked (flock(2)) by the process that the port belongs to, for as long
                             as that lives; the lease holds while this file is there

The interface may outlast its maker. So what a killed bench has left is found by a file whose lock
can be taken.

Host side. Man pages: ip-link(8), flock(2).
"""

from __future__ import annotations

import os
import zlib
from dataclasses import dataclass
from pathlib import Path

from labrt import bridge, networks, nftables, paths, state
from labrt.errors import LabError, errno_text


@dataclass(frozen=True)
class Port:
    """One of them.

    Attributes:
        holder: the instance that it is for.
        interface: the host's name of it; made by who leased it.
        bridge: the bridge's name.
        address, prefix: at the instance's end: "10.201.0.2", 20.
        gateway: the bridge's own address.
        lock: descriptor that says that its owner lives.
    """

    holder: str
    interface: str
    bridge: str
    address: str
    prefix: int
    gateway: str
    lock: int

    @property
    def mac(self) -> str:
        """The MAC address at the instance's end, as a labrt container's eth0 has it."""
        return bridge.mac(self.address)


def folder() -> Path:
    return paths.home() / "ports"


def unavailable() -> str | None:
    """Return why nothing can be on labrt's bridge here, with the remedy, or None."""
    if os.geteuid() != 0:
        return "a bridge is made in the host's network namespace, which takes root; run with sudo"
    try:
        nftables.opened()
    except LabError as error:
        return str(error)
    return None


def lease(holder: str) -> Port:
    """Lease an address; the bridge is there when this returns, the interface isn't made yet.

    Raises:
        LabError: there is an instance of this name; the network is full; the kernel's answer.
            Nothing is left.
    """
    lock = _own(holder)
    try:
        network, found = networks.join(networks.DEFAULT, holder, (holder,))
    except BaseException as error:
        _undo(holder)
        os.close(lock)
        if isinstance(error, OSError):
            raise LabError("make labrt's bridge", errno_text(error)) from error
        raise
    place = (network.bridge, found.address, network.prefix, network.gateway)
    return Port(holder, _interface(holder), *place, lock)


def remove(port: Port) -> None:
    """Remove a port, whose lease ends; the bridge goes with its last."""
    _undo(port.holder)
    os.close(port.lock)


def remove_leftovers() -> list[str]:
    """Remove the ports whose owner is dead; return the names of the instances they were for.

    Raises:
        LabError: this user isn't root.
    """
    removed: list[str] = []
    if not folder().exists():
        return removed
    with paths.locked(folder()):
        for file in sorted(folder().iterdir()):
            lock = state.lock_file(file, wait=False)
            if lock is not None:
                _undo(file.name)
                os.close(lock)
                removed.append(file.name)
    return removed


def _own(holder: str) -> int:
    """Make the file that says that the port is this process's."""
    paths.make(folder())
    with paths.locked(folder()):  # or it would have no owner for a moment
        lock = state.lock_file(folder() / holder, wait=False)
    if lock is None:
        raise LabError(f"lease an address to {holder}", "there is an instance of this name")
    return lock


def _interface(holder: str) -> str:
    return f"labnic-{zlib.crc32(bytes(folder() / holder)):08x}"  # 15 letters are the most there are


def _undo(holder: str) -> None:
    """Content to find nothing. The file goes last: until then somebody can come back to this."""
    bridge.delete(_interface(holder))
    networks.leave(networks.DEFAULT, holder)
    (folder() / holder).unlink(missing_ok=True)
