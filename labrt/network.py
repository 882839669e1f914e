"""Network: a new network namespace has nothing but a loopback device that is down
(network_namespaces(7)). What connects it to others is a veth pair (veth(4)): a cable whose one end
is on a bridge of the host, and whose other is the container's eth0.

The steps are here; `networks` knows the networks and who has which address, `bridge` makes and
removes interfaces, `netlink` is how the kernel is told, `nftables` leads ports to containers,
`name_files` tells their names.

Lesson: notebook 06.
"""

from __future__ import annotations

import errno
import os
import re
import socket
from typing import ClassVar

from labrt import bridge, netdevice, networks, nftables
from labrt.calls import Call
from labrt.errors import LabError
from labrt.nftables import EVERY_ADDRESS, Claim
from labrt.options import Options
from labrt.spec import Network, Port, Spec
from labrt.step import Context, Step


class JoinNetwork(Step):
    side: ClassVar = "host"
    man: ClassVar = "flock(2)"
    reason: ClassVar = "an address of its own, and a bridge to be connected to"

    def __init__(self, spec: Spec, network: Network) -> None:
        self.id = spec.id
        self.network = network

    def describe(self) -> str:
        wish = self.network.address or "the first free address"
        return (
            f"lease {wish} of the network {self.network.name}; where its bridge "
            f"{bridge.name_of(self.network.name)} is missing, make it, with its rules in the table "
            f"{nftables.table()} and IPv4 forwarding on it and on the default route's interface"
        )

    def do(self, context: Context) -> None:
        wish, known_as = self.network.address, self.network.names
        network, lease = networks.join(self.network.name, self.id, known_as, wish)
        context.address = f"{lease.address}/{network.prefix}"
        context.gateway = network.gateway

    def undo(self, context: Context) -> None:
        networks.leave(self.network.name, self.id)

    def likely(self, error: OSError) -> tuple[str, str]:
        if error.errno in (errno.EOPNOTSUPP, errno.ENODEV):
            return "this kernel has no bridges", "modprobe bridge veth"
        if error.errno in (errno.EPERM, errno.EROFS, errno.EACCES):
            return "no CAP_NET_ADMIN here, or /proc/sys is read-only", "run on the host itself"
        return "", ""


class ConnectBridge(Step):
    side: ClassVar = "host"
    man: ClassVar = "veth(4)"
    reason: ClassVar = "a cable between the container and its network"

    def __init__(self, spec: Spec, network: Network) -> None:
        self.interface = spec.id
        self.bridge = bridge.name_of(network.name)

    def describe(self) -> str:
        return (
            f"veth pair: {self.interface} on {self.bridge}, eth0 in the child's network namespace"
        )

    def do(self, context: Context) -> None:
        address = context.address.partition("/")[0]
        bridge.connect(self.bridge, self.interface, context.pid, address)

    def undo(self, context: Context) -> None:
        if bridge.is_on(self.bridge, self.interface):
            bridge.delete(self.interface)

    def likely(self, error: OSError) -> tuple[str, str]:
        if error.errno == errno.EOPNOTSUPP:
            return "this kernel has no veth", "modprobe veth"
        if error.errno in (errno.EXFULL, errno.EBUSY):
            return "a bridge has 1,024 ports", "take another network"
        return "", ""


class PublishPorts(Step):
    side: ClassVar = "host"
    man: ClassVar = "nft(8)"
    reason: ClassVar = "asked for: ports of the host lead to the container"

    def __init__(self, spec: Spec, ports: tuple[Port, ...]) -> None:
        self.id = spec.id
        self.ports = ports

    def describe(self) -> str:
        return f"add to the table {nftables.table()}: {', '.join(map(_told, self.ports))}"

    def do(self, context: Context) -> None:
        with networks.locked():
            claims = nftables.claims()
            for port in self.ports:
                _refuse_taken(port, claims)
                _refuse_bound(port)
            nftables.publish(self.ports, context.address.partition("/")[0], self.id)
        bridge.let_return(self.id)

    def undo(self, context: Context) -> None:
        with networks.locked():
            nftables.unpublish(self.id)


def _told(port: Port) -> str:
    host_ip = "" if port.host_ip == EVERY_ADDRESS else f"{port.host_ip}:"
    return f"{host_ip}{port.host}/{port.protocol} to port {port.container}"


def _refuse_taken(port: Port, claims: list[Claim]) -> None:
    for claim in claims:
        if _clash(port, claim.port):
            lab = "" if claim.table == nftables.table() else f" of another lab ({claim.table})"
            raise LabError(
                f"publish {_told(port)}",
                f"the container {claim.holder}{lab} has port {port.host}/{port.protocol}",
                remedy="choose another host port, or remove that container",
            )


def _clash(one: Port, other: Port) -> bool:
    same = (one.protocol, one.host) == (other.protocol, other.host)
    return same and (one.host_ip == other.host_ip or EVERY_ADDRESS in (one.host_ip, other.host_ip))


def _refuse_bound(port: Port) -> None:
    """Ask the kernel whether a process of the host has the port, by trying to bind it."""
    kind = socket.SOCK_STREAM if port.protocol == "tcp" else socket.SOCK_DGRAM
    with socket.socket(socket.AF_INET, kind) as probe:
        if port.protocol == "tcp":  # old connections that wait for their end don't count
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((port.host_ip, port.host))
        except OSError as error:
            if error.errno == errno.EADDRNOTAVAIL:
                cause, remedy = f"the host has no address {port.host_ip}", "ip address lists them"
            else:
                cause = f"a process of the host has port {port.host}/{port.protocol}"
                remedy = f"choose another; ss -lnp 'sport = :{port.host}' names the process"
            raise LabError(f"publish {_told(port)}", cause, remedy=remedy) from None


class ConfigureInterface(Step):
    side: ClassVar = "container"
    man: ClassVar = "rtnetlink(7)"
    reason: ClassVar = "an address, and the way to everybody else"

    def describe(self) -> str:
        return "give eth0 its address, set IFF_UP, and route all else to the bridge"

    def calls(self, context: Context) -> list[Call]:
        address, _, prefix = context.address.partition("/")
        return netdevice.configuring("eth0", address, int(prefix), context.gateway)


def chosen(wishes: Options, name: str) -> Network | None:
    """Return what the network namespace is connected to; None where it isn't the container's own.

    Args:
        name: the container's, by which its neighbours may call it.

    Raises:
        LabError: a network that isn't there, a wish that is none or that this network can't fulfil.
    """
    asked = wishes.network or "none"
    shared = asked.partition(":")[0] in ("host", "container", "pid", "ns")  # see sharing.py
    mode = asked if asked in ("none", "pasta") else "bridge"
    _refuse_idle(wishes, "shared" if shared else mode)
    if shared:
        return None
    if mode == "bridge":
        _refuse_bridge(asked, wishes.ip)
    return Network(
        mode=mode,  # type: ignore[arg-type]  # one of the three
        name=asked if mode == "bridge" else "",
        address=_address("--ip", wishes.ip) if wishes.ip else "",
        names=tuple(map(_host_name, (name, *wishes.network_alias))) if mode == "bridge" else (),
        ports=_ports(wishes.publish),
        dns=tuple(_address("--dns", server) for server in wishes.dns),
        dns_search=tuple(_host_name(domain) for domain in wishes.dns_search),
        hosts=tuple(_host_line(entry) for entry in wishes.add_host),
    )


# What each option needs a network for.
_NEEDS = {
    "publish": ("bridge", "pasta"),
    "ip": ("bridge",),
    "network_alias": ("bridge",),
    "dns": ("none", "bridge", "pasta"),
    "dns_search": ("none", "bridge", "pasta"),
    "add_host": ("none", "bridge", "pasta"),
}


def _refuse_idle(wishes: Options, mode: str) -> None:
    for option, modes in _NEEDS.items():
        if getattr(wishes, option) and mode not in modes:
            raise LabError(
                f"use --{option.replace('_', '-')} with --network {wishes.network or 'none'}",
                "it would have no effect there",
                remedy="leave it out, or --network bridge",
            )


def _refuse_bridge(name: str, address: str | None) -> None:
    if os.geteuid() != 0:
        raise LabError(
            f"join the network {name!r}",
            "a bridge is made in the host's network namespace, which takes root",
            remedy="--network pasta",
        )
    network = networks.find(name) if name == networks.DEFAULT else networks.existing(name)
    if network and address:
        networks.check_address(network, address)


def _address(option: str, text: str) -> str:
    from ipaddress import ip_address

    try:
        return str(ip_address(text))
    except ValueError:
        raise LabError(
            f"use {option} {text}", "not an address", remedy="such as 10.0.0.7"
        ) from None


def _host_name(text: str) -> str:
    if not re.fullmatch(networks.NAME, text):
        raise LabError(f"use the name {text!r}", "not a host name", remedy="see hostname(7)")
    return text


def _host_line(text: str) -> str:
    name, _, address = text.partition(":")
    return f"{_host_name(name)}:{_address('--add-host', address)}"


_PORT = re.compile(r"(?:(?P<ip>[0-9.]+):)?(?P<host>\d{1,5}):(?P<inner>\d{1,5})(?:/(?P<kind>\w+))?")


def _ports(texts: tuple[str, ...]) -> tuple[Port, ...]:
    ports: list[Port] = []
    for port in map(_port, texts):
        if any(_clash(port, other) for other in ports):
            raise LabError(f"publish {_told(port)}", "the host port is named twice")
        ports.append(port)
    return tuple(ports)


def _port(text: str) -> Port:
    tried = f"publish {text!r}"
    found = _PORT.fullmatch(text)
    if not found or (kind := found["kind"] or "tcp") not in ("tcp", "udp"):
        raise LabError(tried, "not a port", remedy="[IP:]HOST:CONTAINER[/udp], such as 8080:80")
    host, inner = int(found["host"]), int(found["inner"])
    if not (0 < host < 65536 and 0 < inner < 65536):
        raise LabError(tried, "ports go from 1 to 65535")
    host_ip = _address("--publish", found["ip"]) if found["ip"] else EVERY_ADDRESS
    return Port(host, inner, kind, host_ip)  # type: ignore[arg-type]  # one of the two
