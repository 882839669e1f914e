"""Interfaces by the older way, netdevice(7): two calls where rtnetlink(7) takes six.

Both sides. Lesson: notebook 06.
"""

from __future__ import annotations

import fcntl
import os
import struct

from labrt import syscalls
from labrt.calls import Call, call, kept

# linux/sockios.h, linux/if.h
_SIOCADDRT, _SIOCGIFFLAGS, _SIOCSIFFLAGS = 0x890B, 0x8913, 0x8914
_SIOCSIFADDR, _SIOCSIFNETMASK = 0x8916, 0x891C
_IFREQ = struct.Struct("16sH22x")  # struct ifreq: name, flags
_IFREQ_ADDRESS = struct.Struct("16s16s8x")  # the same: name, address
_AF_INET, _RTF_UP, _RTF_GATEWAY = 2, 1, 2
_SOCKET = kept("socket")
_IFF_UP, _IFF_MULTICAST = 1, 0x1000


def raising(name: str) -> list[Call]:
    """Return the calls that set IFF_UP of a new interface, and no other flag."""
    return [
        call("socket", *syscalls.UDP, result="socket"),
        call("ioctl", _SOCKET, _SIOCSIFFLAGS, _IFREQ.pack(name.encode(), _IFF_UP)),
        call("close", _SOCKET),
    ]


def configuring(name: str, address: str, prefix: int, gateway: str) -> list[Call]:
    """Return the calls that give a new Ethernet interface its IPv4 address, set IFF_UP and route
    all else to the gateway. The broadcast address follows from the network's mask."""
    mask = (0xFFFFFFFF << 32 - prefix & 0xFFFFFFFF).to_bytes(4)
    raise_it = _IFREQ.pack(name.encode(), _IFF_UP | _IFF_MULTICAST)
    return [
        call("socket", *syscalls.UDP, result="socket"),
        call("ioctl", _SOCKET, _SIOCSIFADDR, _IFREQ_ADDRESS.pack(name.encode(), _inet(address))),
        call("ioctl", _SOCKET, _SIOCSIFNETMASK, _IFREQ_ADDRESS.pack(name.encode(), _packed(mask))),
        call("ioctl", _SOCKET, _SIOCSIFFLAGS, raise_it),
        call("ioctl", _SOCKET, _SIOCADDRT, _default_route(gateway)),
        call("close", _SOCKET),
    ]


def _default_route(gateway: str) -> bytes:
    """Return a struct rtentry (linux/route.h)."""
    anywhere = _packed(bytes(4))
    fields = (0, anywhere, _inet(gateway), anywhere, _RTF_UP | _RTF_GATEWAY)
    return struct.pack("@L16s16s16sHhLPhPLLH", *fields, *[0] * 8)


def _inet(address: str) -> bytes:
    return _packed(bytes(map(int, address.split("."))))


def _packed(address: bytes) -> bytes:
    """Return a struct sockaddr_in (ip(7))."""
    return struct.pack("=HH4s8x", _AF_INET, 0, address)


def raise_interface(name: str) -> None:
    """Set IFF_UP.

    Raises:
        OSError: the kernel's answer.
    """
    fd = syscalls.udp_socket()  # any would do
    try:
        called, flags = _IFREQ.unpack(fcntl.ioctl(fd, _SIOCGIFFLAGS, _IFREQ.pack(name.encode(), 0)))
        fcntl.ioctl(fd, _SIOCSIFFLAGS, _IFREQ.pack(called, flags | _IFF_UP))
    finally:
        os.close(fd)
