"""rtnetlink: how the kernel is told about interfaces, addresses and routes (netlink(7),
rtnetlink(7)).

A message is a header, a fixed struct and attributes; the kernel answers each request with its
errno. These few messages are spelled out here because a start sends them: pyroute2 would cost it
100 ms to import, 15 MiB that each clone3(2) must copy the page tables of, and 4 ms per container.

Both sides. Lesson: notebook 06.
"""

from __future__ import annotations

import os
import socket
import struct
from collections.abc import Iterator
from typing import NamedTuple

_HEADER = struct.Struct("=IHHII")  # struct nlmsghdr
_LINK = struct.Struct("=BxHiII")  # struct ifinfomsg
_ADDRESS = struct.Struct("=BBBBI")  # struct ifaddrmsg
_ROUTE = struct.Struct("=BBBBBBBBI")  # struct rtmsg
_ATTRIBUTE = struct.Struct("=HH")  # struct rtattr

# linux/netlink.h, linux/rtnetlink.h
_NLMSG_ERROR, _NLMSG_DONE = 2, 3
_REQUEST, _ACK, _DUMP, _EXCL, _CREATE = 0x1, 0x4, 0x300, 0x200, 0x400
_NEWLINK, _DELLINK, _NEWADDR, _NEWROUTE, _GETROUTE = 16, 17, 20, 24, 26
_RT_TABLE_MAIN, _RTPROT_BOOT, _RT_SCOPE_UNIVERSE, _RTN_UNICAST = 254, 3, 0, 1
_RTA_DST, _RTA_OIF, _RTA_GATEWAY, _RTA_MULTIPATH = 1, 4, 5, 9
# linux/if_link.h, linux/if_addr.h, linux/veth.h
_IFLA_ADDRESS, _IFLA_IFNAME, _IFLA_MASTER, _IFLA_LINKINFO, _IFLA_NET_NS_PID = 1, 3, 10, 18, 19
_IFLA_INFO_KIND, _IFLA_INFO_DATA, _VETH_INFO_PEER = 1, 2, 1
_IFA_ADDRESS, _IFA_LOCAL, _IFA_BROADCAST = 1, 2, 4
_IFF_UP = 1


class Route(NamedTuple):
    """A route of IPv4: "10.0.0.0", 8, and the index of the interface it leads to, 0 if unknown."""

    destination: str
    prefix: int
    interface: int


def make_bridge(name: str, mac: str) -> None:
    """Make a bridge that is down (ip-link(8)).

    Raises:
        OSError: the kernel's answer.
    """
    link = _link(0) + _text(_IFLA_IFNAME, name) + _mac(mac) + _kind(b"bridge")
    _tell(_NEWLINK, link, _CREATE | _EXCL)


def make_veth(name: str, bridge: str, peer: str, pid: int, mac: str) -> None:
    """Make a pair of interfaces: `name`, up and a port of `bridge`, and `peer`, down and with that
    MAC address, in the network namespace of process `pid` (veth(4)).

    Raises:
        OSError: the kernel's answer.
    """
    other = _link(0) + _text(_IFLA_IFNAME, peer) + _mac(mac)
    other += _number(_IFLA_NET_NS_PID, pid)
    link = _link(0, _IFF_UP) + _text(_IFLA_IFNAME, name)
    link += _number(_IFLA_MASTER, socket.if_nametoindex(bridge))
    link += _kind(b"veth", _attribute(_VETH_INFO_PEER, other))
    _tell(_NEWLINK, link, _CREATE | _EXCL)


def set_master(name: str, bridge: str) -> None:
    """Make an interface a port of `bridge` (ip-link(8)).

    Raises:
        OSError: the kernel's answer.
    """
    link = _link(0) + _text(_IFLA_IFNAME, name)
    _tell(_NEWLINK, link + _number(_IFLA_MASTER, socket.if_nametoindex(bridge)))


def delete(name: str) -> None:
    """Delete an interface.

    Raises:
        OSError: the kernel's answer; ENODEV where there is none.
    """
    _tell(_DELLINK, _link(0) + _text(_IFLA_IFNAME, name))


def add_address(name: str, address: str, prefix: int) -> None:
    """Give an interface an IPv4 address; the route to its subnet follows.

    Raises:
        OSError: the kernel's answer.
    """
    packed = socket.inet_aton(address)
    every_host = (0xFFFFFFFF >> prefix).to_bytes(4)
    broadcast = bytes(one | other for one, other in zip(packed, every_host, strict=True))
    index = socket.if_nametoindex(name)
    message = _ADDRESS.pack(socket.AF_INET, prefix, 0, _RT_SCOPE_UNIVERSE, index)
    message += _attribute(_IFA_LOCAL, packed) + _attribute(_IFA_ADDRESS, packed)
    _tell(_NEWADDR, message + _attribute(_IFA_BROADCAST, broadcast), _CREATE | _EXCL)


def add_default_route(gateway: str) -> None:
    """Send everything that has no route of its own to `gateway`.

    Raises:
        OSError: the kernel's answer.
    """
    kind = (_RT_TABLE_MAIN, _RTPROT_BOOT, _RT_SCOPE_UNIVERSE, _RTN_UNICAST)
    message = _ROUTE.pack(socket.AF_INET, 0, 0, 0, *kind, 0)
    message += _attribute(_RTA_GATEWAY, socket.inet_aton(gateway))
    _tell(_NEWROUTE, message, _CREATE | _EXCL)


def routes() -> list[Route]:
    """Return the IPv4 routes of every table; a default route's destination is 0.0.0.0/0."""
    request = _ROUTE.pack(socket.AF_INET, *[0] * 8)
    return [route for answer in _ask(_GETROUTE, request, _DUMP) for route in _routes(answer)]


def _routes(message: bytes) -> Iterator[Route]:
    prefix = _ROUTE.unpack_from(message)[1]
    found = dict(_attributes(message[_ROUTE.size :]))
    destination = socket.inet_ntoa(found.get(_RTA_DST, bytes(4)))
    interfaces = [found[_RTA_OIF]] if _RTA_OIF in found else []
    hops = found.get(_RTA_MULTIPATH, b"")
    while hops:  # struct rtnexthop: length, flags, hops, interface
        length, interface = struct.unpack_from("=Hxx4s", hops)
        interfaces.append(interface)
        hops = hops[_padded(length) :]
    for interface in interfaces or [bytes(4)]:
        yield Route(destination, prefix, struct.unpack("=I", interface)[0])


def _tell(kind: int, body: bytes, flags: int = 0) -> None:
    for _answer in _ask(kind, body, _ACK | flags):
        pass


def _ask(kind: int, body: bytes, flags: int) -> Iterator[bytes]:
    """Send a request; yield the messages of the answer, up to its end."""
    family, raw = socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC
    with socket.socket(family, raw, socket.NETLINK_ROUTE) as kernel:
        kernel.send(_HEADER.pack(_HEADER.size + len(body), kind, _REQUEST | flags, 0, 0) + body)
        while True:
            for answer, message in _messages(kernel.recv(1 << 16)):
                if answer == _NLMSG_ERROR:
                    _raise(-struct.unpack_from("=i", message)[0])
                if answer in (_NLMSG_ERROR, _NLMSG_DONE):
                    return
                yield message


def _raise(number: int) -> None:
    if number:
        raise OSError(number, os.strerror(number))


def _messages(data: bytes) -> Iterator[tuple[int, bytes]]:
    while data:
        length, kind, *_ = _HEADER.unpack_from(data)
        yield kind, data[_HEADER.size : length]
        data = data[_padded(length) :]


def _attributes(data: bytes) -> Iterator[tuple[int, bytes]]:
    while data:
        length, kind = _ATTRIBUTE.unpack_from(data)
        yield kind, data[_ATTRIBUTE.size : length]
        data = data[_padded(length) :]


def _padded(length: int) -> int:
    return length + 3 & ~3  # NLMSG_ALIGN


def _attribute(kind: int, value: bytes) -> bytes:
    length = _ATTRIBUTE.size + len(value)
    return _ATTRIBUTE.pack(length, kind) + value.ljust(_padded(len(value)), b"\0")


def _text(kind: int, value: str) -> bytes:
    return _attribute(kind, value.encode() + b"\0")


def _number(kind: int, value: int) -> bytes:
    return _attribute(kind, struct.pack("=I", value))


def _mac(address: str) -> bytes:
    return _attribute(_IFLA_ADDRESS, bytes.fromhex(address.replace(":", "")))


def _link(index: int, flags: int = 0) -> bytes:
    return _LINK.pack(socket.AF_UNSPEC, 0, index, flags, flags)


def _kind(name: bytes, data: bytes = b"") -> bytes:
    details = _attribute(_IFLA_INFO_DATA, data) if data else b""
    return _attribute(_IFLA_LINKINFO, _attribute(_IFLA_INFO_KIND, name) + details)
