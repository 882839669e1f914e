"""A virtual machine whose bench was killed is found and ended; one that is in use is left alone."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from bench import guest_kernel, hypervisor
from bench.leftover_vms import LARGE
from labrt import cgroups, state
from labrt.cgroups import Cgroup
from labrt.errors import LabError

ROOT = Path(__file__).parent.parent.parent
NAME = f"lab-left-{os.getpid()}"

START = f"""
from bench.subjects.base import Workload
from bench.subjects.vm_disk import VmDisk
from labrt.images import base
image = base.ensure("busybox")
workload = Workload(image.name, image.digest)
subject = VmDisk()
subject.prepare(workload)
vm = subject.start(workload, {NAME!r})
print("started", *vm.pids(), flush=True)
input()
vm.destroy()
"""
REMOVE = "from bench.leftover_vms import *; print(remove_leftover_vms(**dict({})))"


def missing() -> str | None:
    """Why no VM can be started here."""
    try:
        guest_kernel.find_kernel()
    except LabError as error:
        return str(error)
    return "no QEMU" if not shutil.which("qemu-system-x86_64") else hypervisor.no_libvirt()


pytestmark = pytest.mark.skipif(missing() is not None, reason=str(missing()))


@pytest.fixture
def run_dir() -> Iterator[Path]:
    """A run folder of its own, with a short path that QEMU's user may walk."""
    folder = Path(tempfile.mkdtemp(prefix="lab-", dir="/tmp"))
    folder.chmod(0o711)
    yield folder
    remove(folder)
    cgroups.remove_top()
    state.remove_tree(folder)


def environment(run_dir: Path) -> dict[str, str]:
    return {
        **os.environ,
        "PYTHONPATH": str(ROOT),
        "LAB_RUN": str(run_dir),
        "LAB_ACCEL": "tcg",
        "TMPDIR": str(run_dir),
    }


@pytest.fixture
def bench(run_dir: Path) -> Iterator[subprocess.Popen[str]]:
    """A process with a VM, under the supervisor; what is killed is the supervisor."""
    command = [sys.executable, "-m", "bench.supervisor", "--", sys.executable, "-c", START]
    with subprocess.Popen(
        command,
        env=environment(run_dir),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        yield process
        kill(process)


def kill(bench: subprocess.Popen[str]) -> None:
    """Kill both processes of the supervisor: one of them alone would end the VM."""
    if bench.poll() is None:
        outer = psutil.Process(bench.pid)
        outer.suspend()  # or it might be quicker than we are
        for between in outer.children():
            between.kill()
        outer.kill()
        bench.wait(timeout=10)


def pid_of_vm(bench: subprocess.Popen[str]) -> int:
    assert bench.stdout is not None
    word, pid = bench.stdout.readline().split()
    assert word == "started"
    return int(pid)


def remove(run_dir: Path, options: str = "") -> str:
    """Call remove_leftover_vms in a process with that run folder; return what it returns."""
    done = subprocess.run(
        [sys.executable, "-c", REMOVE.format(options)],
        env=environment(run_dir),
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert not done.stderr
    return done.stdout.strip()


def alive(pid: int) -> bool:
    """Whether a process runs (a zombie doesn't)."""
    try:
        return "State:\tZ" not in Path(f"/proc/{pid}/status").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return False


def test_a_vm_whose_bench_was_killed_is_ended(run_dir: Path, bench: subprocess.Popen[str]) -> None:
    """Killed with SIGKILL, a whole supervisor takes the bench along, but not the VM."""
    disks = set(LARGE.glob("lab-disks-*"))
    pid = pid_of_vm(bench)
    kill(bench)
    assert alive(pid)
    assert remove(run_dir, "older=60.0") == "[]"
    assert remove(run_dir) == str([NAME])
    assert not alive(pid)
    assert not Cgroup(f"{cgroups.top()}/{NAME}").processes()
    assert f"{cgroups.top()}/{NAME}" not in [each.name for each in cgroups.all_cgroups()]
    assert list(run_dir.iterdir()) == []
    assert set(LARGE.glob("lab-disks-*")) <= disks
    assert remove(run_dir) == "[]"


def test_a_vm_in_use_is_left_alone_unless_asked_for(
    run_dir: Path, bench: subprocess.Popen[str]
) -> None:
    pid = pid_of_vm(bench)
    assert remove(run_dir) == "[]"
    assert alive(pid)
    assert remove(run_dir, "living=True") == str([NAME])
    assert not alive(pid)
