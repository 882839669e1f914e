"""A tap device: the host's end of a virtual machine's network card (the kernel's
Documentation/networking/tuntap.rst).

It is a port of the bridge that labrt's containers are on (`--network bridge`), and has its address
from the same leases: what lies between an instance and the host differs in the card alone.

    LAB_HOME/taps/NAME    locked (flock(2)) by the process that made the tap, for as long as it
                          lives; its lease holds while this file is there

The device outlasts whoever made it, for QEMU opens it by its name. So what a killed bench has left
is found by a file whose lock can be taken.

Host side. Man pages: ip-link(8), netdevice(7), flock(2).
"""

from __future__ import annotations

import errno
import fcntl
import os
import struct
import zlib
from dataclasses import dataclass
from pathlib import Path

from labrt import bridge, netlink, networks, nftables, paths, state
from labrt.errors import LabError, errno_text

DEVICE = "/dev/net/tun"
# linux/if_tun.h; vnet_hdr: whole segments pass, and whoever needs packets cuts them (as veth does)
_TUNSETIFF, _TUNSETPERSIST = 0x400454CA, 0x400454CB
_IFF_TAP, _IFF_NO_PI, _IFF_VNET_HDR = 0x2, 0x1000, 0x4000
_IFREQ = struct.Struct("16sH22x")  # struct ifreq: name, flags


@dataclass(frozen=True)
class Tap:
    """One tap on the lab's bridge.

    Attributes:
        holder: the instance that it is for.
        interface: the host's name of it.
        address, prefix: of the card in the guest: "10.201.0.2", 20.
        gateway: the bridge's own address.
        lock: descriptor that says that its maker lives.
    """

    holder: str
    interface: str
    address: str
    prefix: int
    gateway: str
    lock: int

    @property
    def mac(self) -> str:
        """The card's address, as a container's eth0 has it."""
        return bridge.mac(self.address)


def folder() -> Path:
    return paths.home() / "taps"


def no_bridge() -> str | None:
    """Return why no instance can be on the lab's bridge here, with the remedy, or None."""
    if os.geteuid() != 0:
        return "a bridge is made in the host's network namespace, which takes root; run with sudo"
    try:
        nftables.opened()
    except LabError as error:
        return str(error)
    return None


def unavailable() -> str | None:
    """Return why there can be no tap on the lab's bridge here, with the remedy, or None."""
    if not os.path.exists(DEVICE):
        return f"this host has no {DEVICE}; modprobe tun"
    return no_bridge()


def make(holder: str) -> Tap:
    """Make a tap for an instance.

    Raises:
        LabError: the network is full; the kernel's answer. Nothing is left.
    """
    lock = _own(holder)
    try:
        network, lease = networks.join(networks.DEFAULT, holder, (holder,))
        interface = _name(holder)
        _make_device(interface)
        netlink.set_master(interface, network.bridge)
        netlink.raise_interface(interface)
    except OSError as error:
        _undo(holder)
        os.close(lock)
        cause = "no tap devices in this kernel" if error.errno == errno.ENODEV else ""
        raise LabError("make a tap device", errno_text(error), cause, "modprobe tun") from error
    except BaseException:
        _undo(holder)
        os.close(lock)
        raise
    return Tap(holder, interface, lease.address, network.prefix, network.gateway, lock)


def remove(tap: Tap) -> None:
    """Remove a tap, whose lease ends; the bridge goes with its last."""
    _undo(tap.holder)
    os.close(tap.lock)


def remove_leftovers() -> list[str]:
    """Remove the taps whose maker is dead; return the names of the instances that they were for.

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
    """Make the file that says that the tap is this process's."""
    folder().mkdir(parents=True, exist_ok=True)
    with paths.locked(folder()):  # or it would have no owner for a moment
        return paths.lock(folder() / holder)


def _name(holder: str) -> str:
    return f"labtap-{zlib.crc32(bytes(folder() / holder)):08x}"  # 15 letters are the most there are


def _make_device(interface: str) -> None:
    flags = _IFF_TAP | _IFF_NO_PI | _IFF_VNET_HDR
    device = os.open(DEVICE, os.O_RDWR | os.O_CLOEXEC)
    try:
        fcntl.ioctl(device, _TUNSETIFF, _IFREQ.pack(interface.encode(), flags))
        fcntl.ioctl(device, _TUNSETPERSIST, 1)
    finally:
        os.close(device)


def _undo(holder: str) -> None:
    """Content to find nothing. The file goes last: until then somebody can come back to this."""
    bridge.delete(_name(holder))
    networks.leave(networks.DEFAULT, holder)
    (folder() / holder).unlink(missing_ok=True)
