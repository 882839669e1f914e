"""labrt/usage.py: what a cgroup uses is read from the kernel, whole."""

from __future__ import annotations

import os

import pytest

import labrt
from labrt import cgroups, usage
from labrt.cgroups import Cgroup
from labrt.errors import LabError
from tests.labrt.conftest import needs_cgroups

pytestmark = [needs_cgroups, pytest.mark.usefixtures("nothing_left")]


def test_a_container_tells_what_it_has_used() -> None:
    script = "dd if=/dev/zero of=/dev/shm/a bs=1M count=8 2>/dev/null; echo ready; sleep 60"
    reader, writer = os.pipe()
    with labrt.run(
        "busybox", ["sh", "-c", script], memory="64m", pids_limit=9, stdout=writer
    ) as container:
        os.close(writer)
        with os.fdopen(reader) as said:
            assert said.readline() == "ready\n"
        assert container.cgroup is not None
        use = usage.read(container.cgroup)
    assert use.cpu_usec is not None and use.user_usec is not None and use.system_usec is not None
    assert 0 < use.cpu_usec < 10_000_000
    assert use.memory is not None and use.memory_by_kind is not None
    assert 8 * 2**20 <= use.memory_by_kind.shmem <= use.memory <= 64 * 2**20
    assert (use.memory_max, use.pids_max, use.oom_kills) == (64 * 2**20, 9, 0)
    assert use.pids is not None and 1 <= use.pids <= 2


def test_no_limit_is_none() -> None:
    with labrt.run("busybox", ["sleep", "60"]) as container:
        assert container.cgroup is not None
        use = usage.read(container.cgroup)
    assert (use.memory_max, use.pids_max) == (None, None)


@pytest.mark.skipif("io" not in cgroups.layout().controllers, reason="no io controller here")
def test_io_counts_from_nothing() -> None:
    group = Cgroup.create(f"{cgroups.top()}/lab-test-usage")
    try:
        use = usage.read(group)
    finally:
        group.remove()
    assert (use.read_bytes, use.written_bytes, use.reads, use.writes) == (0, 0, 0, 0)


@pytest.mark.skipif(cgroups.layout().unified is None, reason="only v2 tells pressure")
@pytest.mark.skipif(not os.path.exists("/proc/pressure"), reason="this kernel keeps no pressure")
def test_pressure_is_a_share_of_the_time_that_rises_where_cpu_is_short() -> None:
    reader, writer = os.pipe()
    busy = "for i in 1 2 3 4; do while true; do true; done & done; sleep 1; echo busy; wait"
    with labrt.run("busybox", ["sh", "-c", busy], cpus=0.2, stdout=writer) as container:
        os.close(writer)
        with os.fdopen(reader) as said:
            assert said.readline() == "busy\n"
        assert container.cgroup is not None
        found = usage.pressure(container.cgroup)
    assert set(found) == {"cpu", "memory", "io"}
    assert found["cpu"].some.total > 0
    assert 0 <= found["cpu"].some.avg10 <= 100


def test_what_is_gone_has_no_usage() -> None:
    with pytest.raises(LabError, match="there is none of this name"):
        usage.read(Cgroup(f"{cgroups.top()}/lab-test-none"))
