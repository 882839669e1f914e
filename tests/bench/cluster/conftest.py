"""A fleet for the tests: a scheduler and workers that run for real, on the loopback or on a network
of their own, where each host is a network namespace."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

import pytest

from bench import clean
from bench.subjects.base import Workload

PATIENCE = 40.0  # seconds for a server to come up or go

# What a user would do with `ip` (iproute2), by the lab's own netlink.
BRIDGE = """
from labrt import netdevice, netlink
netdevice.raise_interface("lo")
netlink.make_bridge("lan", "02:00:00:00:00:01")
netdevice.raise_interface("lan")
netlink.add_address("lan", "10.213.0.1", 24)
"""
PLUG = """
import sys
from labrt import netlink
pid, number = map(int, sys.argv[1:])
netlink.make_veth(f"lan{number}", "lan", "lan-port", pid, f"02:00:00:00:00:{number:02x}")
"""
ADDRESS = """
import sys
from labrt import netdevice, netlink
for name in ("lo", "lan-port"):
    netdevice.raise_interface(name)
netlink.add_address("lan-port", f"10.213.0.{sys.argv[1]}", 24)
"""


@dataclass
class Server:
    """A scheduler or worker that comes up."""

    process: subprocess.Popen[str]

    @cached_property
    def said(self) -> str:
        """What it says once it is up."""
        assert self.process.stdout is not None
        said = self.process.stdout.readline().strip()
        if not said:
            _, error = self.process.communicate(timeout=PATIENCE)
            pytest.fail(f"it ended with {self.process.returncode}: {error}")
        return said

    @property
    def address(self) -> str:
        return self.said.removeprefix("scheduler at ")

    def kill(self) -> None:
        """End the worker itself, at once; its supervisor lives on and ends what it left."""
        pid = self.process.pid
        children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
        os.kill(int(children[0]), signal.SIGKILL)

    def ended(self) -> tuple[int, str]:
        """Return its exit status and what it complained of, once it has ended."""
        _, error = self.process.communicate(timeout=PATIENCE)
        return self.process.returncode, error


@dataclass
class Fleet:
    """Starts servers; all of them end with the block."""

    folder: Path
    undo: ExitStack
    servers: list[Server] = field(default_factory=list)

    def scheduler(self, *options: str, inside: Sequence[str] = ()) -> Server:
        return self._start([*inside, sys.executable, "-m", "bench.cluster.scheduler", *options])

    def worker(
        self, address: str, name: str, *options: str, inside: Sequence[str] = (), **also: str
    ) -> Server:
        supervised = (sys.executable, "-m", "bench.supervisor", "--", *inside, sys.executable)
        command = [*supervised, "-m", "bench.cluster.worker", address, "--name", name, *options]
        return self._start(command, **{"LAB_RUN": str(self.folder / name), **also})

    def _start(self, command: Sequence[str], **also: str) -> Server:
        process = subprocess.Popen(
            command,
            env={**os.environ, "LAB_ACCEL": "tcg", **also},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        self.undo.callback(_end, process)
        self.servers.append(Server(process))
        return self.servers[-1]

    def is_up(self) -> None:
        """Wait until all of them are up."""
        for server in self.servers:
            assert server.said


def _end(process: subprocess.Popen[str]) -> None:
    if process.poll() is None:
        process.send_signal(signal.SIGTERM)
    process.communicate(timeout=PATIENCE)


@pytest.fixture
def fleet(workload: Workload, tmp_path: Path) -> Iterator[Fleet]:
    """An empty fleet; the workers have the image, and what a killed one leaves is cleaned up."""
    with ExitStack() as undo:
        undo.callback(lambda: list(clean.groups()))
        yield Fleet(tmp_path, undo)


@dataclass
class Network:
    """A bridge in a namespace of its own, with a host on it for each `host()`."""

    undo: ExitStack
    center: int
    count: int = 1

    def host(self) -> tuple[str, ...]:
        """Plug a new host in; return what runs a command there."""
        self.count += 1
        pid = _namespace(self.undo)
        _python(self.center, PLUG, pid, self.count)
        _python(pid, ADDRESS, self.count)
        return _inside(pid)

    @property
    def inside(self) -> tuple[str, ...]:
        """What runs a command at the bridge, 10.213.0.1."""
        return _inside(self.center)


@pytest.fixture
def network() -> Iterator[Network]:
    if os.geteuid() != 0:
        pytest.skip("network namespaces with interfaces between them need root")
    with ExitStack() as undo:
        center = _namespace(undo)
        _python(center, BRIDGE)
        yield Network(undo, center)


def _namespace(undo: ExitStack) -> int:
    """Make a network namespace; return the process that holds it (network_namespaces(7))."""
    command = ["unshare", "--net", "sh", "-c", "echo; exec sleep 1000"]
    holder = undo.enter_context(subprocess.Popen(command, stdout=subprocess.PIPE))
    undo.callback(holder.kill)
    assert holder.stdout is not None
    holder.stdout.readline()
    return holder.pid


def _inside(pid: int) -> tuple[str, ...]:
    return "nsenter", "--target", str(pid), "--net"


def _python(pid: int, code: str, *arguments: int) -> None:
    command = [*_inside(pid), sys.executable, "-c", code, *map(str, arguments)]
    subprocess.run(command, check=True, timeout=PATIENCE)


Made = Callable[[str], tuple[str, ...]]


@pytest.fixture(scope="session")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Made:
    """Return what makes TLS options: a certificate signed by the authority of this name."""
    folder = tmp_path_factory.mktemp("tls")

    def made(authority: str) -> tuple[str, ...]:
        ca, key = folder / f"{authority}-ca.pem", folder / f"{authority}-ca.key"
        if not ca.exists():
            _openssl("req", "-x509", "-newkey", "ec", *CURVE, "-nodes", "-subj", f"/CN={authority}",
                     "-keyout", key, "-out", ca)  # fmt: skip
            own, request = folder / f"{authority}.key", folder / f"{authority}.csr"
            _openssl("req", "-newkey", "ec", *CURVE, "-nodes", "-subj", "/CN=lab",
                     "-keyout", own, "-out", request)  # fmt: skip
            _openssl("x509", "-req", "-in", request, "-CA", ca, "-CAkey", key, "-CAcreateserial",
                     "-out", folder / f"{authority}.pem")  # fmt: skip
        cert = folder / f"{authority}.pem"
        return ("--tls-ca-file", str(ca), "--tls-cert", str(cert),
                "--tls-key", str(cert.with_suffix(".key")))  # fmt: skip

    return made


CURVE = ("-pkeyopt", "ec_paramgen_curve:prime256v1")


def _openssl(*arguments: str | Path) -> None:
    subprocess.run(["openssl", *map(str, arguments)], check=True, capture_output=True)
