"""Subnets: which addresses a network may have (RFC 1918, RFC 4632, ip-route(8)).

Host side. Lesson: notebook 06.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

from labrt import paths
from labrt.errors import LabError

if TYPE_CHECKING:
    from ipaddress import IPv4Network

# A bridge has 1,024 ports, so 4,094 addresses are enough. Three ranges, for a VPN may route one.
CANDIDATES = (
    *(f"10.{n}.0.0/20" for n in range(201, 224)),
    *(f"172.{n}.240.0/20" for n in range(20, 32)),
    *(f"192.168.{n}.0/20" for n in range(176, 240, 16)),
)


def _network(text: str) -> IPv4Network:
    from ipaddress import IPv4Network  # 1 ms, for nothing where no network is asked for

    return IPv4Network(text)


def check(tried: str, text: str) -> None:
    """Refuse a subnet that a user names.

    Raises:
        LabError: it is none, not for private networks, or of a size that makes no sense.
    """
    try:
        network = _network(text)
    except ValueError as error:
        raise LabError(tried, str(error), remedy="for example --subnet 10.7.0.0/24") from None
    if not network.is_private or network.is_loopback or network.is_link_local:
        raise LabError(
            tried,
            f"{text} is not for private networks",
            remedy="take one within 10.0.0.0/8, 172.16.0.0/12 or 192.168.0.0/16 (RFC 1918)",
        )
    if network.prefixlen > 29 or network.prefixlen < 8:
        raise LabError(tried, f"{text} is too small or too large", remedy="take /8 to /29")


def refuse_overlap(tried: str, asked: str, taken: Iterable[str]) -> None:
    """Refuse a subnet that overlaps another.

    Raises:
        LabError: it does.
    """
    for other in taken:
        if _network(asked).overlaps(_network(other)):
            raise LabError(
                tried,
                f"{asked} overlaps {other}, which the host has a route to or another network has",
                remedy="take another --subnet; ip route lists the host's",
            )


def first_free(tried: str, taken: Iterable[str]) -> str:
    """Return the first candidate that overlaps nothing.

    Each lab begins elsewhere, for it can't know what another has defined and doesn't use yet.

    Raises:
        LabError: there is none.
    """
    others = [_network(text) for text in taken]
    start = zlib.crc32(bytes(paths.home())) % len(CANDIDATES)
    for candidate in CANDIDATES[start:] + CANDIDATES[:start]:
        if not any(_network(candidate).overlaps(other) for other in others):
            return candidate
    raise LabError(tried, "every subnet that the lab knows is in use", remedy="name a --subnet")


def hosts(subnet: str) -> Iterator[str]:
    """Yield the addresses that hosts may have: all but the first and the last (broadcast)."""
    return map(str, _network(subnet).hosts())


def is_host_of(subnet: str, address: str) -> bool:
    """Whether an address is one of those."""
    from ipaddress import IPv4Address

    network = _network(subnet)
    try:
        return network[0] < IPv4Address(address) < network[-1]
    except ValueError:
        return False
