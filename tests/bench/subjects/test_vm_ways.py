"""bench/subjects/vm_microvm.py, vm_qboot.py, vm_bios.py: the same image, put together and booted in
other ways. Each boots once.
"""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from bench import subjects
from bench.subjects.base import InstanceFailed, Workload
from bench.subjects.vm import Vm
from labrt import cgroups
from labrt.images import base

DEADLINE = 60.0  # seconds for one boot on a busy host

# What its QEMU is told, and isn't.
TOLD = {
    "vm-microvm": (["microvm", "-kernel", "qboot.rom"], ["q35"]),
    "vm-qboot": (["q35", "-kernel", "qboot.rom"], ["microvm"]),
    "vm-bios": (["q35", ".boot"], ["-kernel", "-initrd", "-append", "qboot.rom"]),
}


@pytest.fixture(scope="module")
def workload() -> Workload:
    image = base.ensure("busybox")
    return Workload(image.name, image.digest)


def made(name: str) -> Vm:
    subject = subjects.make(name)
    assert isinstance(subject, Vm)
    return subject


def test_machine_firmware_and_way_of_booting_stand_in_the_rows() -> None:
    keys = ("machine", "firmware", "boot", "acpi")
    said = {name: [made(name).conditions()[key] for key in keys] for name in ("vm", *TOLD)}
    assert said == {
        "vm": ["q35", "SeaBIOS", "kernel", True],
        "vm-microvm": ["microvm", "qboot", "kernel", False],
        "vm-qboot": ["q35", "qboot", "kernel", True],
        "vm-bios": ["q35", "SeaBIOS", "loader", True],
    }


@pytest.mark.timeout(180)
@pytest.mark.parametrize("name", TOLD)
def test_it_is_ready_ends_and_leaves_nothing(name: str, workload: Workload) -> None:
    with made(name) as subject:
        if reason := subject.unavailable():
            pytest.skip(reason)
        subject.prepare(workload)
        with subject.start(workload, f"lab-{name}-test") as instance:
            instance.wait_ready(DEADLINE)
            (pid,) = instance.pids()
            arguments = Path(f"/proc/{pid}/cmdline").read_text()
            told, not_told = TOLD[name]
            assert [word for word in told if word not in arguments] == []
            assert [word for word in not_told if word in arguments] == []
            if subject.setup.acpi:
                instance.stop(DEADLINE)
                assert instance.pids() == []
            else:
                with pytest.raises(InstanceFailed, match="no ACPI, so no power button"):
                    instance.stop(DEADLINE)
    assert not Path(f"/proc/{pid}").exists()
    assert f"{cgroups.top()}/lab-{name}-test" not in [group.name for group in cgroups.all_cgroups()]


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_every_variant_boots(workload: Workload) -> None:
    with made("vm") as subject:
        subject.prepare(workload)
        for number, (said, variant) in enumerate(subject.variants().items()):
            variant.prepare(workload)
            with variant.start(workload, f"lab-vm-rung-{number}") as instance:
                instance.wait_ready(DEADLINE)
                assert instance.stamps.t3 is not None, said


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_a_microvm_boots_on_a_busy_host_too(workload: Workload) -> None:
    """Without ACPI its kernel doesn't wait for a clock that can't be calibrated."""
    busy = ["sh", "-c", "while :; do :; done"]
    hogs = [subprocess.Popen(busy) for _ in range(2 * (os.cpu_count() or 1))]
    try:
        with made("vm-microvm") as subject:
            subject.prepare(workload)
            for number in range(5):
                with subject.start(workload, f"lab-vm-busy-{number}") as instance:
                    instance.wait_ready(DEADLINE)
    finally:
        for hog in hogs:
            hog.kill()
            hog.wait()
