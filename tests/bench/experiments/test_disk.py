"""bench/experiments/disk.py: the same fio, on the same disk, in a process, a container and a VM."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from bench import fio, guest_kernel, scratch, subjects, work
from bench.experiments.disk import SEQUENTIAL, Disk
from bench.leftover_vms import LARGE
from bench.observations import Observation
from bench.subjects.base import Workload
from bench.views import disk as view
from labrt import cgroups
from labrt.cgroups import Cgroup
from labrt.errors import LabError
from labrt.images import base
from tests.bench.conftest import needs_cgroups
from tests.bench.test_runner import plan_of, run

ROOT = Path(__file__).parent.parent.parent.parent
SECONDS = 90.0  # for one boot, or the work, on a busy host
NAME = f"lab-disk-{os.getpid()}"

pytestmark = pytest.mark.skipif(fio.unavailable() is not None, reason=str(fio.unavailable()))

START = f"""
import sys
from bench import subjects
from bench.experiments.disk import Disk
from bench.subjects.base import Workload
from labrt.images import base
image = base.ensure("busybox")
workload = Disk().workload(Workload(image.name, image.digest))
subject = subjects.make("vm")
subject.prepare(workload)
vm = subject.start(workload, {NAME!r})
print(*vm.pids(), flush=True)
input()
"""
REMOVE = "from bench.leftover_vms import *; print(remove_leftover_vms())"


def measured(rows: list[Observation]) -> list[Observation]:
    return [row for row in rows if not row.warmup]


@needs_cgroups
def test_process_and_container_do_the_same_work_and_it_is_told(
    workload: Workload, nothing_left: None, tmp_path: Path
) -> None:
    if reason := scratch.refusal():
        pytest.skip(reason)
    plan = plan_of([subjects.make("process"), subjects.make("labrt")], [Disk()])
    settings = replace(plan.settings, n=1)
    rows, _ = run(replace(plan, workload=workload, settings=settings), tmp_path)
    assert [row.reason for row in rows if row.status == "failed"] == []
    for phase in Disk.parts:
        mine = [row for row in measured(rows) if row.phase == phase]
        assert {row.subject for row in mine} == {"process", "labrt"}
        assert {row.unit for row in mine} == {"B/s" if phase in SEQUENTIAL else "s"}
        assert all(row.value for row in mine)
        for same in ("digest", "workload", "count", "scratch", "scratch_file_system"):
            assert len({row.conditions[same] for row in mine}) == 1
        assert len({row.conditions["scratch_form"] for row in mine}) == 2
    table = view.VIEW.table(measured(rows))
    assert [line[1] for line in table.rows] == [part for part in Disk.parts for _ in range(2)]


def test_the_image_is_its_own_and_so_is_the_scratch(workload: Workload) -> None:
    asked = replace(workload, memory=128 * 2**20)
    mine = Disk().workload(asked)
    assert (mine.digest != asked.digest, mine.name, mine.scratch) == (True, "disk", Disk.scratch)
    assert (mine.memory, mine.cpus) == (asked.memory, asked.cpus)


def test_a_home_in_ram_is_no_disk(monkeypatch: pytest.MonkeyPatch) -> None:
    with tempfile.TemporaryDirectory(dir="/dev/shm") as folder:
        monkeypatch.setenv("LAB_HOME", folder)
        assert "set LAB_HOME" in str(Disk().unavailable())


@pytest.fixture
def virtual() -> Workload:
    """The work for a VM, with the kernel and the home that set-up has made."""
    try:
        guest_kernel.find_kernel()
    except LabError as error:
        pytest.skip(str(error))
    if reason := subjects.make("vm").unavailable() or scratch.refusal():
        pytest.skip(reason)
    image = base.ensure("busybox")
    return Disk().workload(Workload(image.name, image.digest))


@pytest.fixture
def nothing_large() -> Iterator[None]:
    before = set(LARGE.iterdir())
    yield
    assert set(LARGE.iterdir()) <= before


@pytest.mark.slow
@pytest.mark.timeout(400)
@pytest.mark.parametrize("name", ["vm", "vm-disk", "vm-qboot", "vm-bios"])
def test_a_vm_does_it_on_a_disk_that_goes_past_the_hosts_page_cache(
    name: str, virtual: Workload, nothing_large: None
) -> None:
    with subjects.make(name) as subject:
        if reason := subject.unavailable() or subject.lacks(virtual):
            pytest.skip(reason)
        subject.prepare(virtual)
        with subject.start(virtual, NAME) as instance:
            instance.wait_ready(SECONDS)
            instance.marks.wait(work.DONE, SECONDS)
            done = work.read(instance.marks.seen())
            assert tuple(done.parts) == Disk.parts
            assert opened(instance.pids()[0], NAME) & os.O_DIRECT
        if scratch.home().exists():
            assert NAME not in os.listdir(scratch.home())


def opened(pid: int, name: str) -> int:
    """Return the flags that a process has opened the file of this name with."""
    for link in Path(f"/proc/{pid}/fd").iterdir():
        if os.readlink(link).endswith(f"/{name}"):
            told = Path(f"/proc/{pid}/fdinfo/{link.name}").read_text()
            return int(told.partition("flags:")[2].split()[0], 8)
    raise AssertionError(f"{pid} hasn't opened {name}")


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_the_disk_of_a_vm_whose_bench_was_killed_is_found(
    virtual: Workload, nothing_large: None
) -> None:
    with tempfile.TemporaryDirectory(prefix="lab-", dir="/tmp") as folder:
        Path(folder).chmod(0o711)
        environment = {**os.environ, "PYTHONPATH": str(ROOT), "LAB_RUN": f"{folder}/run"}
        bench = subprocess.Popen(
            [sys.executable, "-c", START],
            env=environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        assert bench.stdout is not None
        pid = int(bench.stdout.readline())
        assert opened(pid, NAME) & os.O_DIRECT
        bench.kill()
        bench.communicate(timeout=SECONDS)
        removed = [sys.executable, "-c", REMOVE]
        done = subprocess.run(removed, env=environment, capture_output=True, text=True, check=True)
        assert NAME in done.stdout
    assert not Path(f"/proc/{pid}").exists()
    Cgroup(f"{cgroups.top()}/{NAME}").remove()
    left = scratch.home() / NAME
    assert not left.exists() or os.geteuid() != 0  # a normal user's is where all scratches are
    left.unlink(missing_ok=True)
