"""Nothing grows: many starts one after the other, and many at once from many processes."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

import pytest

import labrt
from labrt import cgroups
from tests.labrt.conftest import left_on_host

ROOT = Path(__file__).parent.parent.parent

pytestmark = pytest.mark.usefixtures("nothing_left")

GROWTH = 2 << 20  # bytes of the launcher, for any number of cycles


class Counted(NamedTuple):
    """What must not grow: descriptors of this process and of the launcher, mounts, cgroups."""

    own: int
    launchers: int
    mounts: int
    cgroups: int


def launcher_pid() -> int:
    """Return who cloned a container: its first process's parent."""
    with labrt.run("busybox", ["sleep", "60"]) as c:
        stat = Path(f"/proc/{c.pid}/stat").read_text()
    return int(stat.rpartition(")")[2].split()[1])


def count(launcher: int) -> Counted:
    return Counted(
        len(os.listdir("/proc/self/fd")),
        len(os.listdir(f"/proc/{launcher}/fd")),
        len(Path(f"/proc/{launcher}/mountinfo").read_text().splitlines()),
        len([g for g in cgroups.all_cgroups() if g.name.startswith(f"{cgroups.top()}/lab-")]),
    )


def memory(pid: int) -> int:
    """Return a process's PSS in bytes, its share of what is shared included (proc_pid_smaps(5))."""
    lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("Pss:"))


def cycle(times: int) -> None:
    for _ in range(times):
        with labrt.run("busybox", ["true"]) as c:
            assert c.wait(30) == 0
            c.wait_undone()


# After so many starts the launcher has loaded all it will ever need, and after more its caches are
# full: cgroups.py keeps the places of 256.
@pytest.mark.parametrize(
    ("warm_up", "cycles"), [(20, 50), pytest.param(300, 1000, marks=pytest.mark.slow)]
)
@pytest.mark.timeout(300)
def test_starts_and_stops_leave_nothing_behind(warm_up: int, cycles: int) -> None:
    launcher = launcher_pid()
    cycle(warm_up)
    before, memory_before = count(launcher), memory(launcher)
    cycle(cycles)
    grown, after = memory(launcher) - memory_before, count(launcher)
    # The last connection's hang-up may still be on its way; a leak would be `cycles`.
    assert [new <= old + 1 for old, new in zip(before, after, strict=True)] == [True] * 4
    assert grown < GROWTH, f"{grown} bytes in {cycles} cycles"
    print(f"{cycles} cycles: launcher grew by {grown} bytes; {before} → {after}")


MANY = """
import sys
import labrt
running = [labrt.run("busybox", ["sleep", "600"]) for _ in range(int(sys.argv[1]))]
assert all(c.wait(0) is None for c in running)
print("up", flush=True)
sys.stdin.read()
for c in running:
    assert c.kill() == 137
    c.close()
print("down", flush=True)
"""


def starter(each: int) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", MANY, str(each)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )


@pytest.mark.parametrize(
    ("containers", "processes"), [(24, 4), pytest.param(200, 8, marks=pytest.mark.slow)]
)
@pytest.mark.timeout(300)
def test_many_at_once_all_start_and_all_stop(containers: int, processes: int) -> None:
    before = left_on_host()
    started = [starter(containers // processes) for _ in range(processes)]
    try:
        assert [process.stdout.readline() for process in started if process.stdout] == (
            ["up\n"] * processes
        )
        assert len({name.rpartition("/")[2] for name in left_on_host()} - {*before}) == containers
        told = [process.communicate("")[0] for process in started]
        assert told == ["down\n"] * processes
    finally:
        for process in started:
            process.kill()
            process.wait()
    assert left_on_host() == before
