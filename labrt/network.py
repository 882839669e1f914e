"""Network: a new network namespace has nothing but a loopback device that is down
(network_namespaces(7)).

Lesson: notebook 06.
"""

from __future__ import annotations

import fcntl
import socket
import struct
from typing import ClassVar

from labrt.options import Options
from labrt.spec import Network, Port
from labrt.step import Context, Step

_SIOCSIFFLAGS = 0x8914
_IFF_UP = 1


class RaiseLoopback(Step):
    side: ClassVar = "container"
    man: ClassVar = "netdevice(7)"
    reason: ClassVar = "programs expect 127.0.0.1 to answer"

    def describe(self) -> str:
        return "set IFF_UP on lo"

    def do(self, context: Context) -> None:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as handle:
            fcntl.ioctl(handle, _SIOCSIFFLAGS, struct.pack("16sh14x", b"lo", _IFF_UP))


def chosen(wishes: Options, name: str) -> Network | None:
    """Return what the network namespace is connected to; None where it isn't the container's own.

    Args:
        name: the container's, by which its neighbours may call it.
    """
    if wishes.network == "pasta":
        return Network(mode="pasta", ports=tuple(map(_port, wishes.publish)))
    return Network()


def _port(text: str) -> Port:
    *ip, host, inner = text.split(":")
    return Port(int(host), int(inner), host_ip=ip[0] if ip else "0.0.0.0")
