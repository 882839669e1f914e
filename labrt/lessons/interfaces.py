"""Network interfaces of several namespaces, and the cables between them (veth(4), ip(8))."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from labrt.lessons import entering, observe
from labrt.lessons.graph import Edge, Graph, Node
from labrt.lessons.observe import HasPid
from labrt.lessons.shown import Shown, table

End = tuple[str, "Interface"]  # whose namespace, and what in it


@dataclass(frozen=True)
class Interface:
    """One interface.

    Attributes:
        index: its number in its namespace.
        peer: the number of a veth's other end, in *that* one's namespace; 0 for others.
        home, beyond: the namespaces of this end and of the other, "net:[4026532185]"; "" where this
            user can't know it.
        bridge: the name of the bridge that it is a port of, "" for none.
        kind: "veth", "bridge", …; "" for a loopback or hardware.
        up: whether packets can pass: switched on, and the other end, too.
        addresses: IPv4, with the length of the prefix.
    """

    name: str
    index: int
    peer: int
    home: str
    beyond: str
    bridge: str
    kind: str
    up: bool
    addresses: tuple[str, ...]


def interfaces(process: int | HasPid) -> list[Interface]:
    """Return the interfaces of a process's network namespace; [] if it can't be entered."""
    said = entering.output(process, "net", "ip", "-json", "-details", "address", root=True)
    home = observe.namespace(observe.pid_of(process), "net") or ""
    known = _numbered(process)
    return [_read(each, home, known) for each in json.loads(said or "[]") if each]


def _numbered(process: int | HasPid) -> dict[int, str]:
    """Return the numbers that a network namespace gives to others → which they are (lsns(8))."""
    look = ("lsns", "--json", "--type", "net", "--output", "NS,NETNSID")
    said = entering.output(process, "net", *look, root=True)
    found = json.loads(said)["namespaces"] if said else []
    return {
        int(each["netnsid"]): f"net:[{each['ns']}]"
        for each in found
        if str(each["netnsid"]).isdigit()
    }


def _read(told: dict[str, Any], home: str, known: Mapping[int, str]) -> Interface:
    """Read what ip(8) tells of one interface."""
    kind = told.get("linkinfo", {}).get("info_kind", "")
    inet = [each for each in told.get("addr_info", ()) if each["family"] == "inet"]
    return Interface(
        name=told["ifname"],
        index=told["ifindex"],
        peer=told.get("link_index", 0) if kind == "veth" else 0,
        home=home,
        # Without a number for it, the other end is in the same namespace.
        beyond=known.get(told["link_netnsid"], "") if "link_netnsid" in told else home,
        bridge=told.get("master", ""),
        kind=kind,
        # netdevice(7). The operational state lags behind, by up to a second.
        up={"UP", "LOWER_UP"} <= set(told["flags"]),
        addresses=tuple(f"{each['local']}/{each['prefixlen']}" for each in inet),
    )


def cables(found: Mapping[str, Sequence[Interface]]) -> list[tuple[End, End]]:
    """Return the veth pairs whose both ends are in the given namespaces."""
    ends = [(whose, each) for whose, inside in found.items() for each in inside if each.peer]
    return [(a, b) for n, a in enumerate(ends) for b in ends[n + 1 :] if _joined(a[1], b[1])]


def _joined(a: Interface, b: Interface) -> bool:
    return (a.home, a.index, a.beyond, a.peer) == (b.beyond, b.peer, b.home, b.index)


def network_picture(**processes: int | HasPid) -> Shown:
    """Draw the interfaces of some processes' network namespaces, and the cables between them.

    Args:
        processes: what each is called in the picture → the process.
    """
    found = {whose: interfaces(process) for whose, process in processes.items()}
    rows = [
        (whose, each.name, each.kind or "–", "up" if each.up else "down", " ".join(each.addresses))
        for whose, inside in found.items()
        for each in inside
    ]
    nodes = [
        Node(
            _key(whose, each),
            "\n".join([each.name, *each.addresses]),
            "box",
            _frame(whose, process),
        )
        for (whose, inside), process in zip(found.items(), processes.values(), strict=True)
        for each in inside
    ]
    picture = Graph(
        f"network interfaces of {', '.join(found)}",
        "; ".join(f"{whose} has {name}, {state}" for whose, name, _, state, _ in rows),
        nodes,
        [*_cabled(found), *_ports(found)],
    )
    return picture.shown() + table(("whose", "interface", "kind", "state", "addresses"), rows)


def _key(whose: str, each: Interface) -> str:
    return f"{whose}{each.index}"


def _frame(whose: str, process: int | HasPid) -> str:
    return f"{whose}: {observe.namespace(observe.pid_of(process), 'net') or 'not readable'}"


def _cabled(found: Mapping[str, Sequence[Interface]]) -> Iterator[Edge]:
    for a, b in cables(found):
        yield Edge(_key(*a), _key(*b), "cable")


def _ports(found: Mapping[str, Sequence[Interface]]) -> Iterator[Edge]:
    for whose, inside in found.items():
        named = {each.name: each for each in inside}
        for each in inside:
            if each.bridge in named:
                yield Edge(_key(whose, each), _key(whose, named[each.bridge]), "port of")
