"""bench/experiments/network.py: two instances and the host, by the network that each kind has."""

from __future__ import annotations

import socket
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from bench import bridge_port, subjects, tap
from bench.experiments.network import Network
from bench.observations import Observation
from bench.subjects import process
from bench.subjects import vm as vm_module
from bench.subjects.base import Instance, InstanceFailed, Workload
from bench.subjects.process import Process
from bench.subjects.vm import Vm
from labrt import bridge, networks
from labrt.images import base
from tests.bench.conftest import needs_cgroups
from tests.bench.test_runner import plan_of, run

pytestmark = [
    needs_cgroups,
    pytest.mark.skipif(
        bridge_port.unavailable() is not None, reason=str(bridge_port.unavailable())
    ),
]

WAYS = {
    "process": "loopback",
    "labrt": "veth pair, bridge",
    "labrt-bridge": "veth pair, bridge",
    "labrt-cli": "veth pair, bridge",
    "runc": "veth pair, bridge",
    "crun": "veth pair, bridge",
}
UNITS = {"roundtrip": "s", "send": "B/s", "receive": "B/s"}


@pytest.fixture(autouse=True)
def nothing_left_of_bridges() -> Iterator[None]:
    yield
    assert networks.names() == []
    assert not bridge.exists(bridge.name_of(networks.DEFAULT))
    assert not bridge_port.folder().exists() or list(bridge_port.folder().iterdir()) == []


def measured(names: Sequence[str], workload: Workload, folder: Path) -> list[Observation]:
    plan = plan_of([subjects.make(name) for name in names], [Network()])
    settings = replace(plan.settings, n=1, start_deadline=60.0)
    rows, _ = run(replace(plan, workload=workload, settings=settings), folder)
    return [row for row in rows if not row.warmup]


def test_process_and_containers_are_measured_by_the_network_that_they_have(
    workload: Workload, nothing_left: None, tmp_path: Path
) -> None:
    here = [name for name in WAYS if subjects.make(name).unavailable() is None]
    rows = measured(here, workload, tmp_path)
    assert [row.reason for row in rows if row.status == "failed"] == []
    for phase in Network.parts:
        mine = [row for row in rows if row.phase == phase]
        assert {row.subject: row.conditions["network"] for row in mine} == {
            name: WAYS[name] for name in here
        }
        assert {row.unit for row in mine} == {UNITS[phase.partition("-")[2]]}
        assert all(row.value for row in mine)
        assert len({row.conditions["count"] for row in mine}) == 1


def test_who_has_no_network_is_refused_with_the_reason(
    workload: Workload, nothing_left: None, tmp_path: Path
) -> None:
    bare = Process()
    bare.no_network = lambda: "it has no cable"  # type: ignore[method-assign]
    plan = plan_of([bare], [Network()])
    rows, _ = run(replace(plan, workload=workload), tmp_path)
    assert [(row.phase, row.status, row.reason) for row in rows] == [
        ("prepare", "failed", "it has no cable")
    ]


@pytest.mark.parametrize("name", ["bubblewrap", "docker", "podman", "labrt-rootless"])
def test_these_are_refused(name: str) -> None:
    assert subjects.make(name).no_network() == "the lab joins none of its instances to a network"


def test_virtual_machines_that_could_not_find_their_card_or_address_are_refused() -> None:
    assert "VIRTIO_MMIO_CMDLINE_DEVICES" in str(subjects.make("vm-microvm").no_network())
    assert "its command line" in str(subjects.make("vm-bios").no_network())


def test_what_was_measured_before_a_failure_is_kept_and_the_rest_has_its_reason(
    workload: Workload, nothing_left: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The server in the other instance can't be reached, the host's can."""
    real = process.ProcessInstance.reach
    monkeypatch.setattr(
        process.ProcessInstance, "reach", lambda self: replace(real(self), address="127.0.0.9")
    )
    rows = measured(["process"], workload, tmp_path)
    outcome = {row.phase: row.status for row in rows}
    assert outcome == {
        phase: "ok" if phase.startswith("host") else "failed" for phase in Network.parts
    }
    reasons = {row.reason for row in rows if row.status == "failed"}
    assert len(reasons) == 1 and "connect to 127.0.0.9" in reasons.pop()


def test_an_instance_without_a_network_says_so(workload: Workload, nothing_left: None) -> None:
    subject = subjects.make("labrt")
    subject.prepare(workload)
    with subject.start(workload, "lab-labrt-alone") as alone:
        alone.wait_ready(30)
        with pytest.raises(InstanceFailed, match="no address that others reach it by"):
            alone.reach()


# Virtual machines: in the home that ./lab setup filled, where the guest's kernel is.

needs_tap = pytest.mark.skipif(tap.unavailable() is not None, reason=str(tap.unavailable()))


@pytest.fixture
def joined() -> Workload:
    image = base.ensure("busybox")
    return Workload(image.name, image.digest, network=True)


@needs_tap
@pytest.mark.timeout(180)
def test_a_vm_has_a_card_on_the_bridge_and_answers_the_host(joined: Workload) -> None:
    with Vm() as subject:
        assert subject.no_network() is None
        subject.prepare(joined)
        with subject.start(joined, "lab-vm-network") as instance:
            instance.wait_ready(60)
            assert "romfile" in command_line(instance)
            reach = instance.reach()
            assert reach.way.startswith("virtio-net, tap, bridge")
            answered(reach.address)
        assert not bridge.exists(bridge.name_of(networks.DEFAULT))


@needs_tap
@pytest.mark.timeout(120)
def test_a_vm_that_cannot_start_leaves_no_card(
    joined: Workload, monkeypatch: pytest.MonkeyPatch
) -> None:
    with Vm() as subject:
        subject.prepare(joined)
        monkeypatch.setattr(vm_module.qemu, "binary", lambda: "/bin/false")
        with pytest.raises(InstanceFailed, match="start the VM"):
            subject.start(joined, "lab-vm-network")


@needs_tap
@pytest.mark.timeout(120)
def test_a_guest_that_finds_no_card_ends_and_says_so(
    joined: Workload, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(vm_module.qemu, "_card_xml", lambda port: "")
    with Vm() as subject:
        subject.prepare(joined)
        with (
            subject.start(joined, "lab-vm-network") as instance,
            pytest.raises(InstanceFailed, match="can't find device 'eth0'"),
        ):
            instance.wait_ready(60)


@needs_tap
@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.parametrize("name", ["vm", "vm-disk", "vm-qboot"])
def test_virtual_machines_are_measured(name: str, joined: Workload, tmp_path: Path) -> None:
    if reason := subjects.make(name).unavailable():
        pytest.skip(reason)
    rows = measured([name], replace(joined, network=False), tmp_path)
    assert {row.phase: row.status for row in rows} == dict.fromkeys(Network.parts, "ok")


def command_line(instance: Instance) -> str:
    (pid,) = instance.pids()
    return Path(f"/proc/{pid}/cmdline").read_text()


def answered(address: str) -> None:
    """Have the guest's kernel answer: nobody listens there, and it says so."""
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection((address, 9), 20)
