"""Bridges: one switch in the kernel for each network (ip-link(8), rtnetlink(7), veth(4)).

A network's bridge is there while containers are in it. It is made down, and raised when its rules
and its address are in place: a bridge that is down is one whose maker died, and is made anew.

Forwarding is per interface (ip-sysctl: conf/INTERFACE/forwarding): the bridge's own, and that of
the interfaces that lead to the world, for the answers come in there. Where the lab switched these
on, its table says so and lets nothing but the containers' traffic through, and the last network to
go switches them off again.

Host side. Lesson: notebook 06.
"""

from __future__ import annotations

import os
import socket
import zlib
from pathlib import Path

from labrt import netdevice, netlink, nftables, paths

CONF = "/proc/sys/net/ipv4/conf"
_IFF_UP = 1


def name_of(network: str) -> str:
    """Return the name of a network's bridge; another lab's network of this name has another."""
    return f"labbr-{zlib.crc32(bytes(paths.home() / network)):08x}"


def exists(interface: str) -> bool:
    try:
        socket.if_nametoindex(interface)
    except OSError:
        return False
    return True


def is_ready(bridge: str) -> bool:
    """Whether the bridge is there and was raised."""
    try:
        return bool(int(Path(f"/sys/class/net/{bridge}/flags").read_text(), 16) & _IFF_UP)
    except FileNotFoundError:
        return False


def routed() -> list[str]:
    """Return every subnet that the host has a route to, the default route left out."""
    return [f"{route.destination}/{route.prefix}" for route in netlink.routes() if route.prefix]


def make(bridge: str, subnet: str, gateway: str) -> None:
    """Make a bridge whose address is `gateway`, with its rules.

    Raises:
        OSError or LabError: the kernel's answer; `remove` clears away what was made.
    """
    others = nftables.opened()[1]  # where there is no nftables, nothing is made
    netlink.make_bridge(bridge, mac(gateway))
    _set_up_forwarding(bridge, subnet, others)
    netlink.add_address(bridge, gateway, int(subnet.partition("/")[2]))
    netdevice.raise_interface(bridge)


def _set_up_forwarding(bridge: str, subnet: str, others: set[str]) -> None:
    """Named in the table first, switched on then: a crash between leaves nothing unknown.

    Args:
        others: the interfaces that other labs switched on.
    """
    uplinks = {
        socket.if_indextoname(route.interface)
        for route in netlink.routes()
        if not route.prefix and route.interface
    }
    closed = {name for name in uplinks if name in others or not _forwards(name)}
    nftables.add_network(bridge, subnet, closed)
    for name in (bridge, *closed):
        paths.write(f"{CONF}/{name}/forwarding", "1")
    paths.write(f"{CONF}/{bridge}/route_localnet", "1")  # for 127.0.0.1:PUBLISHED
    if os.path.exists("/proc/sys/net/ipv6"):  # or containers reach the host by fe80::
        paths.write(f"/proc/sys/net/ipv6/conf/{bridge}/disable_ipv6", "1")


def _forwards(interface: str) -> bool:
    return Path(f"{CONF}/{interface}/forwarding").read_text().strip() == "1"


def remove(bridge: str, subnet: str, last: bool) -> None:
    """Remove a bridge with its rules, itself last: where there is none, there are none.

    Args:
        last: it is the lab's last; then the table goes, and forwarding is as it was.
    """
    if not exists(bridge):
        return
    if last:
        _close_uplinks()
        nftables.remove_table()
    else:
        nftables.remove_network(bridge, subnet)
    delete(bridge)


def _close_uplinks() -> None:
    ours, others = nftables.opened()
    for name in ours - others:
        if exists(name):
            paths.write(f"{CONF}/{name}/forwarding", "0")


def connect(bridge: str, interface: str, pid: int, address: str) -> None:
    """Make a veth pair: `interface` on the bridge, its peer `eth0` in the network namespace of
    process `pid`. One message, so there is never half a pair, nor one without its bridge.

    Raises:
        OSError: the kernel's answer.
    """
    netlink.make_veth(interface, bridge, "eth0", pid, mac(address))


def let_return(interface: str) -> None:
    """Let a port of a bridge send frames back to where they came from: a container that calls
    itself by a port that it publishes (where the host has br_netfilter, it never leaves the
    bridge)."""
    paths.write(f"/sys/class/net/{interface}/brport/hairpin_mode", "1")


def is_on(bridge: str, interface: str) -> bool:
    """Whether an interface of this name is a port of the bridge, and so ours."""
    try:
        return os.path.basename(os.readlink(f"/sys/class/net/{interface}/master")) == bridge
    except FileNotFoundError:
        return False


def delete(interface: str) -> None:
    """Remove an interface; content to find none."""
    try:
        netlink.delete(interface)
    except OSError:
        if exists(interface):
            raise


def mac(address: str) -> str:
    """Return the MAC address that goes with an IPv4 address: neighbours who remember the one who
    had it before (arp(7)) aren't wrong."""
    return "02:42:" + ":".join(f"{byte:02x}" for byte in socket.inet_aton(address))
