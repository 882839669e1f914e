"""bench/io_limit.py: the limit that an instance really has, for each kind of subject."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from bench import io_limit, oci_bundle, qemu, subjects
from bench.subjects.base import Workload
from labrt.errors import LabError
from tests.bench.conftest import needs_cgroups, some_machine

RATE = 5 * 2**20


def test_what_lies_on_no_disk_cannot_be_limited() -> None:
    with pytest.raises(LabError, match="on no disk"):
        io_limit.disk(Path("/proc"))


def test_without_a_limit_nothing_is_said() -> None:
    assert (io_limit.options(None), io_limit.words(None), io_limit.files(None)) == ({}, [], {})


@needs_cgroups
@pytest.mark.parametrize("name", ["process", "labrt", "labrt-cli", "runc"])
def test_the_kernel_holds_the_instance_to_it(
    name: str, workload: Workload, nothing_left: None
) -> None:
    subject = subjects.make(name)
    if reason := subject.unavailable() or subject.no_io_limit():
        pytest.skip(reason)
    limited = replace(workload, io=RATE)
    with subject:
        subject.prepare(limited)
        with subject.start(limited, f"lab-{name}-io") as instance:
            instance.wait_ready(20)
            assert f" {RATE}" in throttle(instance.pids()[-1])


def throttle(pid: int) -> str:
    """Return a process's limits of reading, as the kernel has them."""
    lines = Path(f"/proc/{pid}/cgroup").read_text().splitlines()
    for line in lines:
        _, controllers, path = line.split(":", 2)
        if controllers == "blkio":
            mount = next(
                point.split()[4]
                for point in Path("/proc/self/mountinfo").read_text().splitlines()
                if " - cgroup " in point and point.rstrip().endswith("blkio")
            )
            return (Path(mount + path) / "blkio.throttle.read_bps_device").read_text()
    return (
        (Path("/sys/fs/cgroup" + lines[0].split(":", 2)[2]) / "io.max")
        .read_text()
        .replace("rbps=", " ")
    )


def test_an_oci_runtime_is_told_of_each_disk_and_direction() -> None:
    assert oci_bundle._resources({"io.max": "8:0 rbps=5 wbps=6"}) == {
        "blockIO": {
            "throttleReadBpsDevice": [{"major": 8, "minor": 0, "rate": 5}],
            "throttleWriteBpsDevice": [{"major": 8, "minor": 0, "rate": 6}],
        }
    }


def test_a_virtual_disk_is_limited_by_qemu() -> None:
    machine = some_machine(disk=Path("/d"), io=RATE)
    assert f"<iotune><read_bytes_sec>{RATE}</read_bytes_sec>" in qemu.domain_xml(machine)
    assert f"throttling.bps-write={RATE}" in " ".join(qemu.arguments(machine))
    free = replace(machine, io=None)
    assert "iotune" not in qemu.domain_xml(free)
