"""nftables: the kernel's packet filter, in a table of the lab's own (nft(8), libnftables(3)).

One table for each lab, `labrt-…`, with rules that never change; networks and published ports are
elements of its sets and maps. So a container that publishes nothing costs no call, and one that
does costs two elements. Each text is one transaction: all of it or nothing. The table is the only
record of who holds which port: it ends with the machine, as the ports do.

libnftables is nft(8) as a library; it takes 0.2 ms where starting nft takes 3 to 20.

Lesson: notebook 06.
"""

from __future__ import annotations

import ctypes
import json
import zlib
from collections.abc import Iterable
from functools import cache
from typing import Any, NamedTuple

from labrt import paths
from labrt.errors import LabError
from labrt.spec import Port

PREFIX = "labrt-"
EVERY_ADDRESS = "0.0.0.0"
_OUTPUT_JSON = 1 << 4  # NFT_CTX_OUTPUT_JSON, nftables/libnftables.h

# `opened`: interfaces of the host that forward only because the lab told them to. Nobody else is
# to be forwarded from there.
_RULES = """
add table inet {table}
flush table inet {table}
table inet {table} {{
  set bridges {{ type ifname; }}
  set within {{ type ifname . ifname; }}
  set subnets {{ type ipv4_addr; flags interval; }}
  set opened {{ type ifname; }}
  map tcp_ports {{ typeof ip daddr . tcp dport : ip daddr . tcp dport; flags interval; }}
  map udp_ports {{ typeof ip daddr . udp dport : ip daddr . udp dport; flags interval; }}
  chain from_containers {{
    type filter hook prerouting priority raw;
    iifname @bridges ip daddr 127.0.0.0/8 drop comment "route_localnet is for the host alone"
  }}
  chain published {{
    type nat hook prerouting priority dstnat;
    fib daddr type local dnat ip to ip daddr . tcp dport map @tcp_ports
    fib daddr type local dnat ip to ip daddr . udp dport map @udp_ports
  }}
  chain published_to_the_host_itself {{
    type nat hook output priority -100;
    fib daddr type local dnat ip to ip daddr . tcp dport map @tcp_ports
    fib daddr type local dnat ip to ip daddr . udp dport map @udp_ports
  }}
  chain masqueraded {{
    type nat hook postrouting priority srcnat;
    ip saddr @subnets oifname != @bridges masquerade comment "to the world"
    ip saddr @subnets oifname @bridges ct status dnat masquerade comment "back by a published port"
    ip saddr 127.0.0.0/8 oifname @bridges masquerade comment "from the host's localhost"
  }}
  chain forwarded {{
    type filter hook forward priority filter;
    iifname . oifname @within accept
    ct state established,related accept
    ct status dnat accept comment "published"
    oifname @bridges drop comment "from another network or from outside"
    iifname @opened drop
  }}
}}
"""


class Claim(NamedTuple):
    """A published port and whose it is (a container's id)."""

    table: str
    port: Port
    holder: str


def table() -> str:
    """Return the name of this lab's table."""
    return f"{PREFIX}{zlib.crc32(bytes(paths.home())):08x}"


def add_network(bridge: str, subnet: str, opened: Iterable[str]) -> None:
    """Make the table where it is missing, and this network known to its rules.

    Args:
        opened: interfaces of the host that are about to forward for the lab's sake.

    Raises:
        LabError: the kernel or libnftables refused.
    """
    elements = [*_of_network("add", bridge, subnet)]
    elements += [f'add element inet {table()} opened {{ "{name}" }}' for name in opened]
    _transact(_RULES.format(table=table()) + "\n".join(elements))


def remove_network(bridge: str, subnet: str) -> None:
    """Forget a network; content not to know it."""
    add, delete = (list(_of_network(verb, bridge, subnet)) for verb in ("add", "delete"))
    _transact(_RULES.format(table=table()) + "\n".join(add + delete))


def _of_network(verb: str, bridge: str, subnet: str) -> Iterable[str]:
    for name, element in (
        ("bridges", f'"{bridge}"'),
        ("within", f'"{bridge}" . "{bridge}"'),
        ("subnets", subnet),
    ):
        yield f"{verb} element inet {table()} {name} {{ {element} }}"


def remove_table() -> None:
    """Remove the table with all in it; content to find none."""
    _transact(f"add table inet {table()}\ndelete table inet {table()}")


def opened() -> tuple[set[str], set[str]]:
    """Return the interfaces that (this lab, other labs) told to forward."""
    ours: set[str] = set()
    others: set[str] = set()
    for found in _listed("set"):
        if found["name"] == "opened":
            (ours if found["table"] == table() else others).update(found.get("elem", []))
    return ours, others


def claims() -> list[Claim]:
    """Return the ports that containers of this lab and of other labs publish."""
    return [
        Claim(
            found["table"],
            _port(found["name"], *element),
            element[0]["elem"]["comment"],
        )
        for found in _listed("map")
        for element in found.get("elem", [])
    ]


def _port(map_name: str, key: dict[str, Any], value: dict[str, Any]) -> Port:
    address, host = key["elem"]["val"]["concat"]
    host_ip = address if isinstance(address, str) else EVERY_ADDRESS
    protocol: Any = map_name.removesuffix("_ports")
    return Port(host, value["concat"][1], protocol, host_ip)


def publish(ports: Iterable[Port], address: str, holder: str) -> None:
    """Lead ports of the host to a container at `address`, all of them or none.

    Raises:
        LabError: the kernel refused.
    """
    lines = [
        f"add element inet {table()} {port.protocol}_ports "
        f'{{ {_key(port)} comment "{holder}" : {address} . {port.container} }}'
        for port in ports
    ]
    _transact("\n".join(lines))


def unpublish(holder: str) -> None:
    """Free every port of a container; content to find none."""
    lines = [
        f"delete element inet {claim.table} {claim.port.protocol}_ports {{ {_key(claim.port)} }}"
        for claim in claims()
        if claim.table == table() and claim.holder == holder
    ]
    if lines:
        _transact("\n".join(lines))


def _key(port: Port) -> str:
    """An interval covers every address of the host."""
    return f"{port.host_ip}{'/0' if port.host_ip == EVERY_ADDRESS else ''} . {port.host}"


def _listed(kind: str) -> Iterable[dict[str, Any]]:
    """Yield the sets or maps, with their elements, of every lab's table."""
    for entry in _transact(f"list {kind}s inet"):
        if kind in entry and entry[kind]["table"].startswith(PREFIX):
            yield entry[kind]


def _transact(commands: str) -> list[dict[str, Any]]:
    library = _library()
    context = ctypes.c_void_p(library.nft_ctx_new(0))
    try:
        library.nft_ctx_output_set_flags(context, _OUTPUT_JSON)
        library.nft_ctx_buffer_output(context)
        library.nft_ctx_buffer_error(context)
        if library.nft_run_cmd_from_buffer(context, commands.encode()) != 0:
            answer = library.nft_ctx_get_error_buffer(context).decode().partition("\n")[0]
            raise LabError(
                f"change the nftables table {table()}",
                answer,
                "this kernel lacks nf_tables or its NAT, or the table was flushed by somebody",
                "modprobe nf_tables nft_chain_nat; or labrt clean",
            )
        listed = library.nft_ctx_get_output_buffer(context)
        return json.loads(listed)["nftables"] if listed else []
    finally:
        library.nft_ctx_free(context)


@cache
def _library() -> ctypes.CDLL:
    try:
        library = ctypes.CDLL("libnftables.so.1")
    except OSError:
        raise LabError(
            "use nftables", "libnftables.so.1 is missing", remedy="install the package nftables"
        ) from None
    library.nft_ctx_new.restype = ctypes.c_void_p
    library.nft_ctx_get_output_buffer.restype = ctypes.c_char_p
    library.nft_ctx_get_error_buffer.restype = ctypes.c_char_p
    return library
