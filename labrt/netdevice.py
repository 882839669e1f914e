"""Interfaces by the older way, netdevice(7): two calls where rtnetlink(7) takes six.

Both sides. Lesson: notebook 06.
"""

from __future__ import annotations

import fcntl
import os
import struct

from labrt import syscalls

# linux/sockios.h, linux/if.h
_SIOCGIFFLAGS, _SIOCSIFFLAGS = 0x8913, 0x8914
_IFREQ = struct.Struct("16sH22x")  # struct ifreq: name, flags
_IFF_UP = 1


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
