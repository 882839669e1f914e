"""bench/bridge_port.py, tap.py, bridge_hook.py: what the bench joins to labrt's bridge, and takes
away again, whoever is killed."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from pyroute2 import IPRoute

import labrt
from bench import bridge_port, tap
from bench.bridge_hook import hooks
from bench.bridge_port import Port
from labrt import bridge, networks, nftables, syscalls
from labrt.errors import LabError

ROOT = Path(__file__).parent.parent.parent

pytestmark = pytest.mark.skipif(
    tap.unavailable() is not None, reason=f"no taps on a bridge here: {tap.unavailable()}"
)

LEAVE = """
import os, sys
from bench import tap
port = tap.make("lab-left")
print(port.interface, port.bridge, flush=True)
sys.stdin.read()
"""


@pytest.fixture(autouse=True)
def nothing_left_of_bridges(workload: object) -> Iterator[None]:
    """In the home of the bench's tests, whose bridge is nobody else's."""
    yield
    assert networks.names() == []
    assert not bridge.exists(bridge.name_of(networks.DEFAULT))
    tables = subprocess.run(["nft", "list", "tables"], capture_output=True, text=True).stdout
    assert nftables.table() not in tables
    assert not bridge_port.folder().exists() or list(bridge_port.folder().iterdir()) == []


def link(name: str) -> dict[str, object]:
    """What another netlink library says of an interface."""
    with IPRoute() as kernel:
        (found,) = kernel.get_links(ifname=name)
        (master,) = kernel.get_links(found.get("master"))
        kind = found.get_nested("IFLA_LINKINFO", "IFLA_INFO_KIND")
        return {"master": master.get("ifname"), "kind": kind, "state": found["state"]}


def test_a_tap_is_a_port_of_the_bridge_that_containers_are_on_with_an_address_of_its_own() -> None:
    with labrt.run("busybox", network="bridge") as container:
        port = tap.make("lab-test")
        try:
            expected = {"master": port.bridge, "kind": "tun", "state": "up"}
            assert link(port.interface) == expected
            assert link(container.spec.id)["master"] == port.bridge
            network = networks.existing(networks.DEFAULT)
            leases = {lease.holder: lease.address for lease in networks.leases(network)}
            assert leases["lab-test"] == port.address
            assert len(set(leases.values()) | {port.gateway}) == 3
            assert port.gateway == network.gateway
        finally:
            bridge_port.remove(port)
        assert not bridge.exists(port.interface)
        assert bridge.exists(port.bridge)  # the container's still


def test_the_bridge_comes_with_the_first_and_goes_with_the_last() -> None:
    one, two = tap.make("lab-one"), tap.make("lab-two")
    assert one.bridge == two.bridge and one.address != two.address
    bridge_port.remove(one)
    assert bridge.exists(two.bridge)
    bridge_port.remove(two)
    assert not bridge.exists(two.bridge)


def test_a_name_is_taken_while_its_port_is_there() -> None:
    port = tap.make("lab-test")
    with pytest.raises(LabError, match="there is an instance of this name"):
        tap.make("lab-test")
    assert bridge.exists(port.interface)  # and the first one stays
    bridge_port.remove(port)


def test_a_tap_that_cannot_be_made_leaves_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tap, "DEVICE", "/dev/null")
    assert tap.unavailable() is None  # something is there, and proves to be none
    with pytest.raises(LabError, match=r"make a tap device: .*ENOTTY"):
        tap.make("lab-test")


def test_what_a_killed_bench_has_left_is_found_and_what_a_living_one_has_is_not() -> None:
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    with subprocess.Popen(
        [sys.executable, "-c", LEAVE],
        env=environment,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as owner:
        assert owner.stdout is not None
        interface, switch = owner.stdout.readline().split()
        assert bridge_port.remove_leftovers() == []
        assert bridge.exists(interface)
        owner.send_signal(signal.SIGKILL)
    assert bridge.exists(interface)
    assert bridge_port.remove_leftovers() == ["lab-left"]
    assert not bridge.exists(interface) and not bridge.exists(switch)


def test_the_hook_gives_a_network_namespace_an_eth0_on_the_bridge() -> None:
    port = bridge_port.lease("lab-test")
    try:
        with subprocess.Popen(["unshare", "--net", "sh", "-c", "echo; cat"], **PIPES) as holder:
            assert holder.stdout is not None
            holder.stdout.readline()  # it is in its namespace
            assert call(port, holder.pid) == ""
            assert link(port.interface) == {"master": port.bridge, "kind": "veth", "state": "up"}
            inside = in_network_of(holder.pid, "ip", "-o", "-4", "address", "show", "eth0")
            assert f"inet {port.address}/{port.prefix}" in inside
            route = in_network_of(holder.pid, "ip", "route", "show", "default")
            assert f"via {port.gateway} dev eth0" in route
            assert in_network_of(holder.pid, "busybox", "ping", "-c1", "-W10", port.gateway)
            holder.kill()
    finally:
        bridge_port.remove(port)


def test_a_hook_that_fails_says_what_the_kernel_answered() -> None:
    port = bridge_port.lease("lab-test")
    try:
        assert call(port, 2**22 + 1).startswith("lab: join labrt's bridge: ")
    finally:
        bridge_port.remove(port)


PIPES = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}


def call(port: Port, pid: int) -> str:
    """Call the hook as a runtime does; return what it has to complain of."""
    (hook,) = hooks(port)["createRuntime"]
    environment = dict(each.split("=", 1) for each in hook["env"])
    done = subprocess.run(
        [hook["path"], *hook["args"][1:]],
        env=environment,
        input=f'{{"pid": {pid}}}',
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == bool(done.stderr)
    return done.stderr


def in_network_of(pid: int, *command: str) -> str:
    def enter() -> None:
        with open(f"/proc/{pid}/ns/net") as namespace:
            syscalls.setns(namespace.fileno(), syscalls.CLONE_NEWNET)

    done = subprocess.run(command, preexec_fn=enter, capture_output=True, text=True, check=True)
    return done.stdout
