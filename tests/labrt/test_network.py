"""Networks: real bridges, real rules, real traffic between containers, the host and back."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import NamedTuple

import pytest
from pyroute2 import IPRoute

import labrt
from labrt import bridge, name_files, netlink, networks, nftables, state, users
from labrt.client import Container
from labrt.errors import LabError
from labrt.options import Options
from labrt.spec import Port
from tests.labrt.test_security import run_with

ROOT = Path(__file__).parent.parent.parent


def _lacking() -> str | None:
    """Return what this host lacks for bridges, or None."""
    if os.geteuid() != 0:
        return "bridges in the host's network namespace take root"
    try:
        netlink.make_bridge("labbr-probe", "02:42:00:00:00:01")
        netlink.delete("labbr-probe")
        nftables.claims()
    except (OSError, LabError) as error:
        return f"this kernel has no bridges or no nftables: {error}"
    return None


LACKING = _lacking()
needs_bridge = pytest.mark.skipif(LACKING is not None, reason=LACKING or "")


def interfaces() -> dict[str, str | None]:
    """Return the host's interfaces → the bridge they are on, read by another netlink library."""
    with IPRoute() as kernel:
        links = list(kernel.get_links())
    names = {link["index"]: link.get("ifname") for link in links}
    return {str(link.get("ifname")): names.get(link.get("master")) for link in links}


def left() -> dict[str, object]:
    """Return what the networks of this home have left on the host."""
    ours = re.compile(r"lab-[0-9a-f]{8}")
    return {
        "interfaces": sorted(
            name
            for name, master in interfaces().items()
            if name in map(bridge.name_of, (*networks.names(), networks.DEFAULT))
            or (ours.fullmatch(name) and not (master or "").startswith("labbr-"))
        ),
        "table": nftables.table() in tables(),
        "networks": networks.names(),
    }


def tables() -> str:
    return subprocess.run(["nft", "list", "tables"], capture_output=True, text=True).stdout


def forwards(interface: str) -> bool:
    return Path(bridge.CONF, interface, "forwarding").read_text() == "1\n"


@pytest.fixture(autouse=True)
def nothing_left_of_networks(nothing_left: None) -> Iterator[None]:
    if LACKING:
        yield
        return
    before = left()
    yield
    assert left() == before


@contextmanager
def running(*args: str, **options: object) -> Iterator[Container]:
    with labrt.run("busybox", list(args), **options) as container:
        yield container


@contextmanager
def web(text: str = "hello", **options: object) -> Iterator[Container]:
    """A container that serves `text` on port 80."""
    script = f"mkdir /www; echo {text} >/www/index.html; httpd -f -p 80 -h /www"
    with running("sh", "-c", script, **options) as container:
        wait_for(lambda: re.search(r":0050 0+:0000 0A", sockets(container.pid)))
        yield container


def sockets(pid: int) -> str:
    return "".join(Path(f"/proc/{pid}/net/{file}").read_text() for file in ("tcp", "tcp6", "udp"))


def wait_for(truth: Callable[[], object], seconds: float = 20.0) -> None:
    deadline = time.monotonic() + seconds
    while not truth():
        assert time.monotonic() < deadline, "it never came true"
        time.sleep(0.01)


def inside(script: str, **options: object) -> str:
    """Run a shell script in a container of its own; return what it wrote."""
    return labrt.output("busybox", ["sh", "-c", script], **options).strip()


def fetched(address: str, port: int) -> str:
    """From the host: return what a web server answers."""
    with socket.create_connection((address, port), timeout=10) as connection:
        connection.sendall(b"GET / HTTP/1.0\r\n\r\n")
        with connection.makefile() as stream:
            return stream.read().rpartition("\n\n")[2].strip()


def address_of(container: Container, network: str = "bridge") -> str:
    found = networks.existing(network)
    return next(lease.address for lease in networks.leases(found) if lease.holder == container.id)


@pytest.fixture
def network(home: Path) -> Iterator[str]:
    networks.create("lessons")
    yield "lessons"
    networks.remove("lessons")


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("", 0))
        return int(probe.getsockname()[1])


def cli(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "labrt.cli", *arguments],
        capture_output=True,
        text=True,
        timeout=60,
        env={**os.environ, "PYTHONPATH": str(ROOT), **environment},
    )


# --- what a container has


@needs_bridge
def test_it_has_an_address_of_the_bridges_subnet_and_a_way_out() -> None:
    told = inside(
        "ip -o addr show eth0; ip route; cat /sys/class/net/eth0/address", network="bridge"
    )
    assert re.search(r"inet (\d+\.){3}2/20 brd", told)
    assert re.search(r"default via (\d+\.){3}1 dev eth0", told)
    assert re.search(r"02:42(:[0-9a-f]{2}){4}", told)


@needs_bridge
def test_the_host_and_a_neighbour_reach_it_and_it_reaches_the_host() -> None:
    with web(network="bridge", name="web") as server:
        assert fetched(address_of(server), 80) == "hello"
        gateway = networks.existing("bridge").gateway
        told = inside(f"wget -qO- http://web; ping -c1 -W5 {gateway}; ping -c1 -W5 web",
                      network="bridge")  # fmt: skip
    assert told.startswith("hello")
    assert told.count("1 packets received") == 2


@needs_bridge
def test_it_reaches_the_world_under_the_hosts_address(outside: Outside) -> None:
    """`outside` is another network namespace behind an interface of the host."""
    script = f"ping -c1 -W5 {outside.address} | grep -c ' 1 packets received'"
    assert inside(script, network="bridge") == "1"


@needs_bridge
def test_the_name_files_are_the_labs() -> None:
    told = inside("cat /etc/hostname /etc/hosts; mount | grep -c /etc/", network="bridge",
                  hostname="inside")  # fmt: skip
    assert told.startswith("inside\n127.0.0.1\tlocalhost")
    assert re.search(r"(\d+\.){3}\d+\tinside", told)
    assert told.endswith("3")


@needs_bridge
def test_a_link_of_a_hostile_image_in_their_place_is_removed_not_followed(home: Path) -> None:
    target, layer = Path("/tmp/labtest-target"), home / "linked"
    (layer / "etc").mkdir(parents=True)
    for folder in (layer, layer / "etc"):
        folder.chmod(0o755)
        os.chown(folder, users.ROOT_ID_BASE, users.ROOT_ID_BASE)  # as when unpacked
    (layer / "etc" / "hosts").symlink_to("/proc/self/fd/3/../../tmp/labtest-target")
    (layer / "etc" / "resolv.conf").symlink_to("../../../../../tmp/labtest-target")
    told = run_with([layer], ["sh", "-c", "ls -l /etc; cat /etc/hosts /tmp/l*"], network="bridge")
    state.remove_tree(layer)
    assert "->" not in told
    assert "127.0.0.1\tlocalhost" in told
    assert "No such file" in told
    assert not target.exists()


@needs_bridge
def test_dns_options_are_what_resolv_conf_says() -> None:
    told = inside(
        "cat /etc/resolv.conf /etc/hosts",
        network="bridge",
        dns=["192.0.2.53", "192.0.2.54"],
        dns_search=["lab.example"],
        add_host=["db:192.0.2.7", "six:2001:db8::6"],
    )
    assert "nameserver 192.0.2.53\nnameserver 192.0.2.54\nsearch lab.example\n" in told
    assert "192.0.2.7\tdb\n2001:db8::6\tsix\n" in told


def test_a_name_server_on_the_hosts_loopback_is_replaced_by_the_one_it_asks(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stub, upstream = tmp_path / "stub", tmp_path / "upstream"
    monkeypatch.setattr(name_files, "HOST_RESOLV_CONF", str(stub))
    monkeypatch.setattr(name_files, "UPSTREAM_RESOLV_CONF", str(upstream))
    stub.write_text("nameserver 127.0.0.53\nsearch example.org\noptions edns0\n")
    spec = declared(dns_search=[])
    assert "out of reach; --dns names another" in name_files.resolv_conf(spec)
    upstream.write_text("nameserver 192.0.2.1\n")
    written = name_files.resolv_conf(spec)
    assert written == "nameserver 192.0.2.1\nsearch example.org\noptions edns0\n"


def declared(**options: object) -> labrt.spec.Spec:  # type: ignore[name-defined]
    from labrt.declare import declare
    from labrt.images import store

    return declare(store.resolve("busybox"), ["true"], **options)


# --- names between containers


@needs_bridge
def test_containers_of_one_network_know_each_other_by_name_and_alias(network: str) -> None:
    with (
        web("one", network=network, name="first", network_alias=["db"]) as first,
        running("sleep", "100", network=network, name="second") as second,
    ):
        told = inside(
            "wget -qO- http://first; wget -qO- http://db; ping -c1 second", network=network
        )
        assert told.startswith("one\none\n")
        assert "1 packets received" in told
        # Who was there before knows the newcomer as well, and forgets those who left.
        hosts = Path(first.spec.state_dir, "hosts").read_text()
        assert f"{address_of(second, network)}\tsecond\n" in hosts
        assert len(hosts.split(networks.NEIGHBOURS.decode())[1].splitlines()) == 2


@needs_bridge
def test_a_running_container_sees_a_newcomers_name() -> None:
    script = "until grep -q late /etc/hosts; do sleep 0.05; done; ping -c1 late | grep received"
    reader, writer = os.pipe()
    with running("sh", "-c", script, network="bridge", stdout=writer), os.fdopen(reader) as told:
        os.close(writer)
        with running("sleep", "100", network="bridge", name="late"):
            assert told.read().startswith("1 packets transmitted, 1 packets received")


# --- isolation


@needs_bridge
def test_networks_are_isolated_from_each_other(network: str) -> None:
    with web(network="bridge") as server:
        script = f"timeout 3 wget -qO- http://{address_of(server)} || echo refused"
        assert inside(script, network=network).endswith("refused")
        assert "hello" in inside(script, network="bridge")


@needs_bridge
def test_a_container_cannot_reach_the_hosts_loopback() -> None:
    """route_localnet, which published ports need, would let it (CVE-2020-8558)."""
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        server.listen()
        port = server.getsockname()[1]
        gateway = "$(ip route | sed -n 's/default via \\([^ ]*\\).*/\\1/p')"
        script = (
            f"ip route add 127.9.9.0/24 via {gateway} 2>/dev/null;"
            f"nc -w 2 127.9.9.9 {port} </dev/null && echo reached || echo refused"
        )
        assert inside(script, network="bridge", cap_add=["NET_ADMIN"]).endswith("refused")
    with web(network="bridge", publish=[f"127.0.0.1:{free_port()}:80"]):
        rules = subprocess.run(["nft", "list", "table", "inet", nftables.table()],
                               capture_output=True, text=True).stdout  # fmt: skip
        assert "iifname @bridges ip daddr 127.0.0.0/8 drop" in rules


# --- published ports


@needs_bridge
def test_a_published_port_is_reached_from_everywhere(network: str, outside: Outside) -> None:
    port = free_port()
    with web(network="bridge", publish=[f"{port}:80"], name="web") as server:
        host = networks.existing("bridge").gateway
        assert fetched("127.0.0.1", port) == "hello"
        assert fetched(host, port) == "hello"
        assert "hello" in inside(f"timeout 5 wget -qO- http://{host}:{port}", network="bridge")
        # From another network, and by the container itself.
        other = networks.existing(network)
        assert "hello" in inside(
            f"timeout 5 wget -qO- http://{other.gateway}:{port}", network=network
        )
        assert entered(server.pid, f"timeout 5 wget -qO- http://{host}:{port}") == "hello"
        assert outside.fetched(port) == "hello"


ECHO = """
import socket
server = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
server.bind(("0.0.0.0", 53))
print("up", flush=True)
data, client = server.recvfrom(100)
server.sendto(data, client)
"""


@needs_bridge
def test_udp_is_published_too() -> None:
    port = free_port()
    with running("sleep", "100", network="bridge", publish=[f"{port}:53/udp"]) as container:
        command = ["nsenter", "-t", str(container.pid), "-n", sys.executable, "-c", ECHO]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as server:
            assert server.stdout is not None
            assert server.stdout.readline() == "up\n"
            with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
                client.settimeout(10)
                client.connect(("127.0.0.1", port))
                client.send(b"echo")
                assert client.recv(100) == b"echo"


@needs_bridge
def test_one_container_port_is_published_by_many_on_different_host_ports() -> None:
    ports = [free_port() for _ in range(3)]
    with ExitStack() as stack:
        for number, port in enumerate(ports):
            stack.enter_context(web(f"n{number}", network="bridge", publish=[f"{port}:80"]))
        assert [fetched("127.0.0.1", port) for port in ports] == ["n0", "n1", "n2"]


@needs_bridge
def test_a_host_address_limits_a_published_port() -> None:
    port = free_port()
    with web(network="bridge", publish=[f"127.0.0.1:{port}:80"]):
        assert fetched("127.0.0.1", port) == "hello"
        with pytest.raises(ConnectionRefusedError):
            fetched(networks.existing("bridge").gateway, port)


@needs_bridge
def test_a_port_of_another_container_is_refused_by_name() -> None:
    port = free_port()
    with running("sleep", "100", network="bridge", publish=[f"{port}:80"]) as holder:
        for clash in (f"{port}:81", f"127.0.0.1:{port}:80"):
            done = cli("run", "--network", "bridge", "-p", clash, "busybox", "true")
            assert (done.returncode, done.stderr.count("\n")) == (125, 1)
            assert f"the container {holder.id} has port {port}/tcp" in done.stderr
        inside("true", network="bridge", publish=[f"{port}:80/udp"])  # that one is free


@needs_bridge
@pytest.mark.parametrize("kind", ["tcp", "udp"])
def test_a_port_of_a_process_of_the_host_is_refused(kind: str) -> None:
    with socket.socket(type=socket.SOCK_STREAM if kind == "tcp" else socket.SOCK_DGRAM) as server:
        server.bind(("127.0.0.1", 0))
        if kind == "tcp":
            server.listen()
        port = server.getsockname()[1]
        done = cli("run", "--network", "bridge", "-p", f"{port}:80/{kind}", "busybox", "true")
    assert (done.returncode, done.stderr.count("\n")) == (125, 1)
    assert f"a process of the host has port {port}/{kind}" in done.stderr


# --- addresses


JOIN = """
import sys
from labrt import networks
network, *holders = sys.argv[1:]
for holder in holders:
    print(networks.join(network, holder, (holder,))[1].address)
"""


@needs_bridge
def test_addresses_are_handed_out_once_whoever_asks_at_the_same_time(network: str) -> None:
    holders = [[f"lab-{process:04x}{n:04x}" for n in range(5)] for process in range(8)]
    folders = [state.containers_dir() / holder for group in holders for holder in group]
    for folder in folders:
        folder.mkdir(parents=True)
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    asking = [
        subprocess.Popen(
            [sys.executable, "-c", JOIN, network, *group],
            stdout=subprocess.PIPE,
            text=True,
            env=environment,
        )
        for group in holders
    ]
    told = "".join(process.communicate(timeout=60)[0] for process in asking).split()
    for folder in folders:
        networks.leave(network, folder.name)
        folder.rmdir()
    assert len(told) == len(set(told)) == 40


@needs_bridge
def test_the_address_of_a_container_that_is_gone_is_free_again(network: str) -> None:
    folder = state.containers_dir() / "lab-00000000"
    folder.mkdir(parents=True)
    address = networks.join(network, folder.name, ("gone",))[1].address
    folder.rmdir()  # as by somebody's rm: nobody left the network
    assert address in inside("ip -4 -o addr show eth0", network=network)


@needs_bridge
def test_an_address_can_be_asked_for(home: Path) -> None:
    networks.create("small", "10.251.7.0/29")
    try:
        told = inside("ip -4 -o addr show eth0", network="small", ip="10.251.7.4")
        assert "10.251.7.4/29" in told
        with running("sleep", "100", network="small", ip="10.251.7.4") as holder:
            with pytest.raises(LabError, match=f"10.251.7.4.*{holder.id} has it"):
                running_once(network="small", ip="10.251.7.4")
            with pytest.raises(LabError, match="the host has it"):
                running_once(network="small", ip="10.251.7.1")
            with pytest.raises(LabError, match="remove the network 'small'.*is in it"):
                networks.remove("small")
        for outside in ("10.9.9.9", "10.251.7.0", "10.251.7.7", "fd00::1"):
            with pytest.raises(LabError, match=r"it is no host of 10.251.7.0/29"):
                running_once(network="small", ip=outside)
        with ExitStack() as stack:
            for _ in range(5):
                stack.enter_context(running("sleep", "100", network="small"))
            with pytest.raises(LabError, match=r"all of 10.251.7.0/29 is in use"):
                running_once(network="small")
    finally:
        networks.remove("small")


def running_once(**options: object) -> None:
    with running("true", **options):
        pass


# --- bad input


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"publish": ["80"]}, "not a port"),
        ({"publish": ["80:80/sctp"]}, "not a port"),
        ({"publish": ["0:80"]}, "1 to 65535"),
        ({"publish": ["80:70000"]}, "1 to 65535"),
        ({"publish": ["1.2.3:80:80"]}, "not an address"),
        ({"publish": ["80:80", "127.0.0.1:80:81"]}, "named twice"),
        ({"dns": ["nowhere"]}, "not an address"),
        ({"dns_search": ["two words"]}, "not a host name"),
        ({"add_host": ["db"]}, "not an address"),
        ({"network_alias": ["a\tb"]}, "not a host name"),
        ({"network_alias": ["a\n192.0.2.1 b"]}, "not a host name"),
        ({"network": "nosuch"}, "there is none of this name"),
        ({"network": "../x"}, "there is none of this name"),
        ({"network": "host", "publish": ["80:80"]}, "no effect"),
        ({"network": "none", "ip": "10.0.0.7"}, "no effect"),
        ({"network": "pasta", "network_alias": ["db"]}, "no effect"),
    ],
)
@needs_bridge
def test_a_wrong_wish_is_refused_before_anything_is_made(
    options: dict[str, object], said: str
) -> None:
    from labrt import network

    with pytest.raises(LabError, match=said):
        network.chosen(Options(**{"network": "bridge", **tupled(options)}), "name")  # type: ignore[arg-type]


def tupled(options: dict[str, object]) -> dict[str, object]:
    return {key: tuple(v) if isinstance(v, list) else v for key, v in options.items()}


@needs_bridge
@pytest.mark.parametrize("shared", ["host", "container:web", "ns:/proc/1/ns/net"])
def test_a_shared_network_namespace_has_no_network_of_its_own(shared: str) -> None:
    from labrt import network

    assert network.chosen(Options(network=shared), "name") is None


@pytest.mark.skipif(os.geteuid() == 0, reason="for a user who may make no bridge")
def test_who_is_not_root_is_told_to_use_pasta() -> None:
    with pytest.raises(LabError, match="takes root.*--network pasta"):
        running_once(network="bridge")


# --- networks as such


@needs_bridge
def test_a_network_is_created_listed_inspected_and_removed() -> None:
    assert cli("network", "create", "--subnet", "10.251.8.0/24", "mine").stdout == "mine\n"
    try:
        assert "10.251.8.0/24" in cli("network", "ls").stdout
        with running("sleep", "100", network="mine", name="a") as container:
            (told,) = json.loads(cli("network", "inspect", "mine").stdout)
        assert told["gateway"] == "10.251.8.1"
        assert told["containers"] == [
            {"address": "10.251.8.2", "names": ["a"], "holder": container.id}
        ]
        again = cli("network", "create", "mine")
        assert (again.returncode, again.stderr.count("\n")) == (125, 1)
        assert "there is one of this name" in again.stderr
    finally:
        assert cli("network", "rm", "mine").stdout == "mine\n"
    assert cli("network", "rm", "mine").returncode == 125


@needs_bridge
@pytest.mark.parametrize(
    ("subnet", "said"),
    [
        ("10.251.9.1/24", "has host bits set"),
        ("8.8.8.0/24", "not for private networks"),
        ("10.251.9.0/30", "too small"),
        ("nonsense", "Expected 4 octets|4 octets"),
        ("fd00::/64", "octets|Expected"),
    ],
)
def test_a_subnet_that_is_none_is_refused(subnet: str, said: str) -> None:
    with pytest.raises(LabError, match=said):
        networks.create("mine", subnet)


@needs_bridge
def test_a_subnet_that_overlaps_a_route_of_the_host_is_refused(outside: Outside) -> None:
    overlapping = outside.address.rpartition(".")[0] + ".0/28"
    with pytest.raises(LabError, match=f"{overlapping} overlaps .*route"):
        networks.create("mine", overlapping)


@needs_bridge
def test_a_route_that_came_later_keeps_the_network_down_and_says_why(network: str) -> None:
    subnet = networks.existing(network).subnet
    with interface_with_route(subnet), pytest.raises(LabError, match=f"{subnet} overlaps"):
        running_once(network=network)


@contextmanager
def interface_with_route(subnet: str) -> Iterator[None]:
    name = f"ltr-{os.urandom(4).hex()}"
    with IPRoute() as kernel:
        kernel.link("add", ifname=name, kind="bridge", state="up")
        try:
            (index,) = kernel.link_lookup(ifname=name)
            kernel.route("add", dst=subnet, oif=index)
            yield
        finally:
            kernel.link("del", ifname=name)


class Outside(NamedTuple):
    """A neighbour of the host: a network namespace behind an interface of its own."""

    pid: int
    interface: str
    address: str = "10.252.0.2"
    host: str = "10.252.0.1"

    def fetched(self, port: int) -> str:
        """Return what a web server on the host's port answers it."""
        return entered(self.pid, f"timeout 5 wget -qO- http://{self.host}:{port}")


@pytest.fixture
def outside() -> Iterator[Outside]:
    """It has a default route of the host's, the last, and so counts as a way to the world."""
    own = os.readlink("/proc/self/ns/net")
    with subprocess.Popen(["unshare", "-n", "sleep", "1000"]) as holder, IPRoute() as kernel:
        there = Outside(holder.pid, f"lto-{os.urandom(4).hex()}")
        wait_for(lambda: os.readlink(f"/proc/{holder.pid}/ns/net") != own)
        peer = {"ifname": "eth0", "net_ns_pid": holder.pid}
        kernel.link("add", ifname=there.interface, kind="veth", peer=peer)
        try:
            Path(bridge.CONF, there.interface, "forwarding").write_text("0")
            (index,) = kernel.link_lookup(ifname=there.interface)
            kernel.addr("add", index=index, address=there.host, prefixlen=24)
            kernel.link("set", index=index, state="up")
            kernel.route("add", dst="0.0.0.0/0", gateway=there.address, oif=index, priority=9999)
            entered(holder.pid, f"ip addr add {there.address}/24 dev eth0; ip link set eth0 up")
            yield there
        finally:
            kernel.link("del", ifname=there.interface)
            holder.kill()


def entered(pid: int, script: str) -> str:
    """Run a shell script of the host in the network namespace of a process."""
    command = ["nsenter", "-t", str(pid), "-n", "busybox", "sh", "-c", script]
    return subprocess.run(command, capture_output=True, text=True, timeout=30).stdout.strip()


# --- nothing but its own


@needs_bridge
def test_forwarding_is_switched_on_for_the_containers_alone_and_off_again(outside: Outside) -> None:
    everywhere = forwards("all")
    assert not forwards(outside.interface)
    with running("sleep", "100", network="bridge"):
        assert forwards(outside.interface)
        assert outside.interface in nftables.opened()[0]
        assert forwards("all") == everywhere
    assert not forwards(outside.interface)


@needs_bridge
def test_two_labs_side_by_side_do_not_collide(tmp_path: Path, outside: Outside) -> None:
    other = {"LAB_HOME": str(tmp_path / "home"), "LAB_RUN": str(tmp_path / "run")}
    assert cli("image", "base", "busybox", **other).returncode == 0
    port = free_port()
    command = ["run", "--network", "bridge", "-p", f"{port}:80", "busybox", "sh", "-c"]
    script = f"ip -4 -o addr show eth0; ping -c1 -W5 {outside.address}; echo up"
    script += "; trap exit TERM; sleep 100 & wait"
    process = subprocess.Popen(
        [sys.executable, "-m", "labrt.cli", *command, script],
        stdout=subprocess.PIPE, text=True, env={**os.environ, "PYTHONPATH": str(ROOT), **other},
    )  # fmt: skip
    assert process.stdout is not None
    try:
        with web(network="bridge"):
            told = "".join(iter(process.stdout.readline, "up\n"))
            assert "1 packets received" in told
            ours = networks.existing("bridge").subnet.rpartition(".")[0]
            assert f"inet {ours}." not in told
            with pytest.raises(LabError, match=f"of another lab .* has port {port}/tcp"):
                running_once(network="bridge", publish=[f"{port}:80"])
        # Ours is gone; the other's forwarding and rules are as they were.
        assert outside.interface in nftables.opened()[1]
        assert forwards(outside.interface)
        assert Port(port, 80) in [claim.port for claim in nftables.claims()]
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(timeout=60)
        process.stdout.close()
    assert not forwards(outside.interface)
    assert cli("clean", **other).stdout == ""


@needs_bridge
def test_killed_at_any_moment_nothing_is_left_after_the_next_command() -> None:
    port = free_port()
    for delay in range(0, 400, 25):  # ms; a start takes about 200
        process = subprocess.Popen(
            [sys.executable, "-m", "labrt.cli", "run", "--network", "bridge", "-p", f"{port}:80",
             "busybox", "true"],
            stderr=subprocess.DEVNULL, env={**os.environ, "PYTHONPATH": str(ROOT)},
        )  # fmt: skip
        time.sleep(delay / 1000)
        process.kill()
        process.wait()
        assert cli("clean").returncode == 0
        assert left()["interfaces"] == []
        assert nftables.table() not in tables()
        assert networks.names() == []


@needs_bridge
def test_a_half_written_table_does_not_keep_a_network() -> None:
    networks.create("lessons")
    (networks.folder() / "lessons" / ".new-0123456789abcdef").write_text("10.")
    networks.remove("lessons")
    assert networks.names() == []
