"""labrt/cgroups.py: v2's names are the interface, whatever layout this host has."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from labrt import cgroups
from labrt.cgroups import Cgroup, MemoryUse
from labrt.errors import LabError
from tests.labrt.conftest import needs_cgroups

NAME = "labrt/lab-test-cgroups"


@pytest.fixture
def group() -> Iterator[Cgroup]:
    made = Cgroup.create(NAME)
    yield made
    made.remove()


@contextmanager
def in_group(group: Cgroup, program: str) -> Iterator[subprocess.Popen[str]]:
    """Start Python code in the cgroup; it begins only once it is inside."""
    code = f"import sys; sys.stdin.readline(); {program}"
    process = subprocess.Popen(
        [sys.executable, "-I", "-S", "-c", code],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    group.add(process.pid)
    assert process.stdin is not None
    process.stdin.write("go\n")
    process.stdin.flush()
    with process:
        yield process
        process.kill()


def first_line(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    return process.stdout.readline().strip()


def test_the_layout_names_mount_points_that_exist() -> None:
    found = cgroups.layout()
    assert found.kind in ("v1", "v2", "hybrid", "none")
    assert all(point.is_dir() for point in found.controllers.values())


def test_only_the_labs_own_top_level_is_written() -> None:
    with pytest.raises(ValueError, match="begin with labrt/"):
        Cgroup.create("somebody-elses")


@needs_cgroups
@pytest.mark.parametrize(
    ("file", "value"),
    [
        ("memory.max", "268435456"),
        ("memory.max", "max"),
        ("cpu.max", "50000 100000"),
        ("cpu.max", "max 100000"),
        ("pids.max", "64"),
    ],
)
def test_a_limit_is_what_the_kernel_reads_back(group: Cgroup, file: str, value: str) -> None:
    group.write(file, value)
    unlimited = ("-1", str(0x7FFFFFFFFFFFF000))  # how v1 shows "max": 2^63 less one page
    for path, written in group.files(file, value).items():
        read = path.read_text().strip()
        assert read == written or (written == "-1" and read in unlimited)


@needs_cgroups
def test_a_refused_value_is_an_error_and_leaves_nothing() -> None:
    with pytest.raises(LabError, match=r"memory\.max.*'plenty'.*EINVAL"):
        Cgroup.create(NAME, {"memory.max": "plenty"})
    assert not Cgroup(NAME).exists()


@needs_cgroups
def test_a_limit_without_controller_is_refused_by_name(group: Cgroup) -> None:
    with pytest.raises(LabError, match=r"set rdma\.max: the lab has no controller for it"):
        group.write("rdma.max", "mlx4_0 hca_handle=2")


@needs_cgroups
def test_remove_ends_every_process_in_it(group: Cgroup) -> None:
    waiting = "sys.stdin.readline()"
    with in_group(group, waiting) as first, in_group(group, waiting) as second:
        assert group.pids() == sorted([first.pid, second.pid])
        group.remove()
        assert [first.wait(timeout=5), second.wait(timeout=5)] == [-9, -9]
    assert not group.exists()
    group.remove()  # content to find nothing


@needs_cgroups
def test_memory_counts_what_processes_touch(group: Cgroup) -> None:
    size = 32 * 1024 * 1024
    program = f"b = b'x' * {size}; print('ready', flush=True); sys.stdin.read()"
    with in_group(group, program) as process:
        assert first_line(process) == "ready"
        use = group.memory()
    assert isinstance(use, MemoryUse)
    assert size <= use.anon < 2 * size
    assert use.current >= use.anon


@needs_cgroups
def test_cpu_max_holds_a_busy_process_back(group: Cgroup) -> None:
    """The kernel tells how often it did (cpu.stat). The process's own CPU time tells less: in a
    guest it also counts what the host took away."""
    group.write("cpu.max", "20000 100000")
    program = (
        "import time; end = time.monotonic() + 1\n"
        "while time.monotonic() < end: pass\n"
        "print('done', flush=True)"
    )
    with in_group(group, program) as process:
        assert first_line(process) == "done"
        stat = dict(line.split() for line in group.read("cpu.stat").splitlines())
    assert int(stat["nr_throttled"]) > 0


@needs_cgroups
def test_pids_max_stops_a_fork(group: Cgroup) -> None:
    group.write("pids.max", "1")
    program = "import os\ntry: os.fork()\nexcept OSError as e: print(e.errno, flush=True)"
    with in_group(group, program) as process:
        assert first_line(process) == "11"  # EAGAIN


@pytest.mark.skipif(cgroups.unavailable() is None, reason="this user may make cgroups")
def test_where_it_may_not_the_reason_is_told() -> None:
    with pytest.raises(LabError, match=r"make the cgroup.*(run as root|mount it)"):
        Cgroup.create(NAME)
