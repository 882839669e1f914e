"""A tap device: the host's end of a virtual machine's network card (the kernel's
Documentation/networking/tuntap.rst). QEMU opens it by its name, so it is there beforehand.

Host side. Man pages: ip-tuntap(8), ioctl(2).
"""

from __future__ import annotations

import fcntl
import os
import struct

from bench import bridge_port
from bench.bridge_port import Port
from labrt import netdevice, netlink
from labrt.errors import LabError, errno_text

DEVICE = "/dev/net/tun"
# linux/if_tun.h. vnet_hdr: whole segments pass and are cut where somebody needs packets, as between
# the two ends of a veth pair.
_TUNSETIFF, _TUNSETPERSIST = 0x400454CA, 0x400454CB
_IFF_TAP, _IFF_NO_PI, _IFF_VNET_HDR = 0x2, 0x1000, 0x4000
_IFREQ = struct.Struct("16sH22x")  # struct ifreq: name, flags


def unavailable() -> str | None:
    """Return why there can be none on labrt's bridge here, with the remedy, or None."""
    if not os.path.exists(DEVICE):
        return f"this host has no {DEVICE}; modprobe tun"
    return bridge_port.unavailable()


def make(holder: str) -> Port:
    """Make a tap on labrt's bridge for an instance; `bridge_port.remove` removes it.

    Raises:
        LabError: as `bridge_port.lease`; or the kernel refuses. Nothing is left.
    """
    port = bridge_port.lease(holder)
    try:
        _make_device(port.interface)
        netlink.set_master(port.interface, port.bridge)
        netdevice.raise_interface(port.interface)
    except BaseException as error:
        bridge_port.remove(port)
        if isinstance(error, OSError):
            raise LabError(
                "make a tap device", errno_text(error), remedy="modprobe tun, or leave VMs out"
            ) from error
        raise
    return port


def _make_device(interface: str) -> None:
    device = os.open(DEVICE, os.O_RDWR | os.O_CLOEXEC)
    try:
        flags = _IFF_TAP | _IFF_NO_PI | _IFF_VNET_HDR
        fcntl.ioctl(device, _TUNSETIFF, _IFREQ.pack(interface.encode(), flags))
        fcntl.ioctl(device, _TUNSETPERSIST, 1)
    finally:
        os.close(device)
