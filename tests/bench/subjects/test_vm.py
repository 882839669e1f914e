"""bench/subjects/vm.py: the same image, booted; watched, stopped and removed like the others.

Boots for real, in the home that ./lab setup filled (the guest's kernel is there). Each boot costs
some two seconds under TCG, so one VM serves several specifications.
"""

from __future__ import annotations

import signal
from collections.abc import Iterator

import pytest

from bench.subjects.base import InstanceFailed, Workload
from bench.subjects.vm import Vm, VmInstance
from labrt import cgroups
from labrt.images import base

DEADLINE = 60.0  # seconds for one boot on a busy host


@pytest.fixture(scope="module")
def workload() -> Workload:
    image = base.ensure("busybox")
    return Workload(image.name, image.digest)


@pytest.fixture(scope="module")
def subject(workload: Workload) -> Iterator[Vm]:
    vm = Vm()
    assert vm.unavailable() is None
    with vm:
        vm.prepare(workload)
        yield vm


@pytest.fixture(scope="module")
def ready(subject: Vm, workload: Workload) -> Iterator[VmInstance]:
    with subject.start(workload, "lab-vm-test-ready") as instance:
        instance.wait_ready(DEADLINE)
        yield instance


def test_its_four_times_are_in_order(ready: VmInstance) -> None:
    stamps = ready.stamps
    assert stamps.t0 is not None and stamps.t1 is not None
    assert stamps.t2 is not None and stamps.t3 is not None
    assert stamps.t0 < stamps.t1 < stamps.t2 <= stamps.t3


def test_its_process_is_qemu_in_a_cgroup_of_its_own(ready: VmInstance) -> None:
    (pid,) = ready.pids()
    with open(f"/proc/{pid}/comm") as comm:
        assert comm.read().startswith("qemu-system")
    if (group := ready.cgroup()) is not None:
        assert group.processes() == [pid]
        assert group.memory().anon > 32 * 2**20  # the guest's kernel alone is more


def test_guest_ram_is_told_apart_from_the_hypervisor(ready: VmInstance, workload: Workload) -> None:
    memory = ready.extra_memory()
    assert 0 < memory["guest_ram_bytes"] <= workload.memory
    assert memory["hypervisor_bytes"] > 0


def test_its_conditions_name_accelerator_and_machine(subject: Vm) -> None:
    conditions = subject.conditions()
    assert conditions["accelerator"] in ("kvm", "tcg")
    assert conditions["machine"] == "q35"


def test_a_name_is_taken_while_its_vm_runs(
    subject: Vm, workload: Workload, ready: VmInstance
) -> None:
    with pytest.raises(InstanceFailed, match="is there already"):
        subject.start(workload, ready.name)
    assert ready.pids()  # and the first one lives on


def test_asked_politely_it_switches_itself_off_and_leaves_nothing(
    subject: Vm, workload: Workload
) -> None:
    with subject.start(workload, "lab-vm-test-stop") as instance:
        instance.wait_ready(DEADLINE)
        (pid,) = instance.pids()
        instance.stop(DEADLINE)
        assert instance.pids() == []
    assert f"{cgroups.top()}/lab-vm-test-stop" not in [
        group.name for group in cgroups.all_cgroups()
    ]
    with pytest.raises(FileNotFoundError):
        open(f"/proc/{pid}/comm").close()


def test_a_missed_deadline_is_a_failure_with_a_reason_and_leaves_nothing(
    subject: Vm, workload: Workload
) -> None:
    with subject.start(workload, "lab-vm-test-late") as instance:
        with pytest.raises(InstanceFailed, match=r"lab:ready.*last words"):
            instance.wait_ready(0.05)
        assert instance.pids() == []


def test_a_vm_that_is_killed_is_a_failure_at_once(subject: Vm, workload: Workload) -> None:
    import os

    with subject.start(workload, "lab-vm-test-killed") as instance:
        (pid,) = instance.pids()
        os.kill(pid, signal.SIGKILL)
        with pytest.raises(InstanceFailed):
            instance.wait_ready(DEADLINE)


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_twenty_boots_of_twenty_are_ready_or_failed_with_a_reason(
    subject: Vm, workload: Workload
) -> None:
    outcomes = []
    for number in range(20):
        with subject.start(workload, f"lab-vm-test-{number}") as instance:
            try:
                instance.wait_ready(DEADLINE)
                outcomes.append("ready")
            except InstanceFailed as failure:
                outcomes.append(str(failure))
    assert len(outcomes) == 20
    assert all(outcomes)
    print(f"{outcomes.count('ready')} of 20 ready; others: {set(outcomes) - {'ready'}}")
