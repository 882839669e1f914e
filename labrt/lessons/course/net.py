"""Lesson "net": a network of its own (notebook 06, network_namespaces(7))."""

from __future__ import annotations

from labrt.lessons import drawn, interfaces, needs, observe, ports
from labrt.lessons.lesson import Check, Lesson, Prediction, Verdict


def _interfaces(here: list[str], there: list[str]) -> str:
    """Judge net-p1. The names of the host's interfaces and of the container's."""
    if not there:
        return "c"
    return "b" if there == ["lo"] else "a"


def _answers(one: str, other: str) -> str:
    """Judge net-p2. What two servers on the port that the host uses, too, have answered."""
    return {2: "c", 1: "b"}.get((one.strip() == "one") + (other.strip() == "two"), "a")


def _without_loopback(said: str) -> str:
    """Judge net-p3. What came of asking a server in the same container at 127.0.0.1."""
    if "unreachable" in said:
        return "b"
    return "c" if "bind" in said else "a"


def _same_port(wanted: str) -> Verdict:
    """net-01: two containers with network namespaces of their own that listen on the drawn port."""
    here = observe.namespace("self", "net")
    homes = {pid: observe.namespace(pid, "net") for pid in observe.containers()}
    found = {pid: ports.listening(pid) for pid, home in homes.items() if home not in (None, here)}
    told = "; ".join(f"pid {pid}: {sorted(of) or 'none'}" for pid, of in found.items())
    servers = {homes[pid] for pid, open_ports in found.items() if int(wanted) in open_ports}
    return Verdict(
        passed=len(servers) > 1,
        expected=f"two containers with networks of their own, both listening on port {wanted}",
        saw=f"ports: {told}" if told else "no running container with a network of its own",
    )


def _bridged(wanted: str) -> Verdict:
    """net-02: a container with a bridge of two ports, and the drawn address behind one of them."""
    found = {str(pid): interfaces.interfaces(pid) for pid in observe.containers()}
    switches = {
        (whose, bridge): [each for each in inside if each.bridge == bridge and each.up]
        for whose, inside in found.items()
        for bridge in {each.bridge for each in inside if each.bridge}
    }
    joined = [
        pair
        for pair in interfaces.cables(found)
        for whose, end in pair
        if len(switches.get((whose, end.bridge), ())) > 1
    ]
    ends = [end for pair in joined for _, end in pair]
    behind = {address.partition("/")[0] for end in ends for address in end.addresses}
    told = [f"pid {pid}: bridge {at} with {len(up)} ports up" for (pid, at), up in switches.items()]
    told += [f"addresses behind a bridge of two ports: {', '.join(sorted(behind)) or 'none'}"]
    return Verdict(
        passed=wanted in behind,
        expected=f"three containers: in one a bridge with two ports up, behind one port {wanted}",
        saw="; ".join(told) if switches else "no container with a bridge that has ports",
    )


LESSON = Lesson(
    key="net",
    number=6,
    title="a network of its own",
    claims=("C15", "C19"),
    needs=(
        needs.CONTAINER,
        needs.programs("by hand; exercise net-02", "iproute2 and util-linux", "ip", "nsenter"),
        needs.VM,
    ),
    predictions=(
        Prediction(
            id="net-p1",
            choices={
                "a": "those of the host, or some of them",
                "b": "a loopback, and nothing else",
                "c": "none at all",
            },
            judge=_interfaces,
        ),
        Prediction(
            id="net-p2",
            choices={
                "a": "neither can: the host has the port already",
                "b": "one of the two can, whichever comes first",
                "c": "both can, and each answers for itself",
            },
            judge=_answers,
        ),
        Prediction(
            id="net-p3",
            choices={
                "a": "answers: it is the same container, no network is needed",
                "b": "can't be reached: the network is unreachable",
                "c": "can't even start to listen",
            },
            judge=_without_loopback,
        ),
    ),
    checks=(
        Check(
            id="net-01",
            observe=_same_port,
            hints=(
                "Sections 3 and 4 start containers that listen. What must be different in yours?",
                "Whoever gives a container another's network gives it the other's ports, too.",
                "Both must run while the check looks: keep each in a variable of its own.",
            ),
            draw=drawn.number(20000, 9000),
        ),
        Check(
            id="net-02",
            observe=_bridged,
            hints=(
                "How many containers, and how many cables, does a switch with two computers take? "
                "The cells above make two of the one and one of the other.",
                "A bridge is an interface: ip link add NAME type bridge. An interface becomes its "
                "port by: ip link set INTERFACE master NAME.",
                "Every interface begins switched off: each end of each cable, and the bridge. The "
                "numbers of your containers' interfaces differ if you make them one after another.",
            ),
            draw=drawn.address,
        ),
    ),
)
