"""bench/subjects/vm_disk.py: the VM of vm.py, but its image is on a disk that it only reads."""

from __future__ import annotations

from pathlib import Path

import pytest

from bench.leftover_vms import LARGE
from bench.subjects.base import Workload
from bench.subjects.vm import Vm
from bench.subjects.vm_disk import VmDisk
from labrt.images import base

DEADLINE = 60.0  # seconds for one boot on a busy host


def test_the_forms_are_told_apart_by_name_and_by_their_conditions() -> None:
    assert (Vm.name, VmDisk.name) == ("vm", "vm-disk")
    assert Vm().conditions()["guest_root"] == "initramfs"
    assert VmDisk().conditions()["guest_root"] == "disk"


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_it_is_ready_stops_politely_and_leaves_nothing() -> None:
    image = base.ensure("busybox")
    workload = Workload(image.name, image.digest)
    before = set(LARGE.iterdir())
    with VmDisk() as subject:
        assert subject.unavailable() is None
        subject.prepare(workload)
        with subject.start(workload, "lab-vm-disk-test") as instance:
            instance.wait_ready(DEADLINE)
            (pid,) = instance.pids()
            assert ".squashfs" in Path(f"/proc/{pid}/cmdline").read_text()
            instance.stop(DEADLINE)
            assert instance.pids() == []
    assert set(LARGE.iterdir()) <= before
