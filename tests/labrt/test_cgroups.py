"""labrt/cgroups.py: v2's names are the interface, whatever layout this host has."""

from __future__ import annotations

import json
import mmap
import os
import re
import select
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

import labrt
from labrt import cgroups
from labrt.cgroups import Cgroup, MemoryUse
from labrt.errors import LabError
from tests.labrt.conftest import needs_cgroups, needs_root

NAME = "lab-test-cgroups"  # below the lab's own
ROOT = Path(__file__).parents[2]
MIB = 2**20


def needs(file: str) -> pytest.MarkDecorator:
    """Skip where this host can't keep such a limit; the reason is the lab's own refusal."""
    reason = cgroups.refusal({file: "max"})
    return pytest.mark.skipif(reason is not None, reason=f"{reason}")


@pytest.fixture
def group() -> Iterator[Cgroup]:
    made = Cgroup.create(f"{cgroups.top()}/{NAME}")
    yield made
    made.remove()


@pytest.mark.skipif("cpuset" not in cgroups.layout().v1, reason="cpuset isn't in v1 here")
@needs_root
def test_a_cpuset_whose_parent_is_just_being_filled_gets_its_cpus_and_memory_nodes() -> None:
    parent = Cgroup("labrt-test-half-filled")
    top = cgroups.layout().v1["cpuset"] / parent.name
    top.mkdir()
    try:
        (top / "cpuset.cpus").write_text((top.parent / "cpuset.cpus").read_text())
        made = Cgroup.create(f"{parent.name}/lab-below")
        for file in ("cpuset.cpus", "cpuset.mems"):
            assert (top / "lab-below" / file).read_text() == (top.parent / file).read_text()
        made.remove()
    finally:
        parent.remove()


@contextmanager
def in_group(group: Cgroup, program: str) -> Iterator[subprocess.Popen[str]]:
    """Start Python code in the cgroup; it begins only once it is inside."""
    code = f"import sys; sys.stdin.readline()\n{program}"
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
        try:
            yield process
        finally:
            if group.exists():
                group.thaw()
            process.kill()


def first_line(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    return process.stdout.readline().strip()


def told(group: Cgroup, program: str) -> str:
    """Run Python code in the cgroup; return its first line."""
    with in_group(group, program) as process:
        return first_line(process)


def flat(group: Cgroup, file: str) -> dict[str, int]:
    return {key: int(value) for key, value in map(str.split, group.read(file).splitlines())}


def used(group: Cgroup) -> int:
    """CPU time, microseconds."""
    return flat(group, "cpu.stat")["usage_usec"]


BUSY = "import time; end = time.monotonic() + 1\nwhile time.monotonic() < end: pass\n"
TOUCH = f"b = b'x' * {32 * MIB}; print('touched', flush=True); sys.stdin.read()"
WAIT = "sys.stdin.readline()"


def test_the_layout_names_folders_that_exist() -> None:
    found = cgroups.layout()
    assert found.kind in ("v1", "v2", "hybrid", "none")
    assert all(folder.is_dir() for folder in found.folders)


def test_only_the_labs_own_top_level_is_written() -> None:
    with pytest.raises(ValueError, match="begin with labrt"):
        Cgroup.create("somebody-elses")


@needs_cgroups
@pytest.mark.parametrize(
    ("file", "value"),
    [
        ("memory.max", "268435456"),
        ("memory.max", "max"),
        ("memory.low", "1048576"),
        ("cpu.max", "50000 100000"),
        ("cpu.max", "max 100000"),
        ("cpu.weight", "1"),
        ("cpu.weight", "59"),
        ("cpu.weight", "10000"),
        ("cpuset.cpus", "0"),
        ("cpuset.mems", "0"),
        ("pids.max", "64"),
        ("pids.max", "max"),
    ],
)
def test_a_limit_is_what_the_kernel_reads_back(group: Cgroup, file: str, value: str) -> None:
    group.write(file, value)
    assert group.read(file).strip() == value


@needs_cgroups
def test_a_refused_value_is_an_error_and_leaves_nothing() -> None:
    with pytest.raises(LabError, match=r"memory\.max.*'plenty'.*EINVAL"):
        Cgroup.create(f"{cgroups.top()}/{NAME}", {"memory.max": "plenty"})
    assert not Cgroup(f"{cgroups.top()}/{NAME}").exists()


@needs_cgroups
def test_a_limit_without_controller_is_refused_by_name(group: Cgroup) -> None:
    with pytest.raises(LabError, match=r"set dmem\.max: the lab has no controller for it"):
        group.write("dmem.max", "vram0 1048576")


@needs_cgroups
@pytest.mark.parametrize(
    "file",
    ["dmem.max", "cgroup.procs", "../../x", "memory", "memory.nonsense", "memory.current"],
)
def test_what_is_no_limit_is_refused_before_anything_is_made(file: str) -> None:
    assert str(cgroups.refusal({"pids.max": "9", file: "1"})).startswith(f"{file}: ")


@pytest.mark.skipif("memory" not in cgroups.layout().v1, reason="memory is v2's here")
def test_v1_refuses_what_only_v2_has() -> None:
    assert "memory.high: cgroup v1" in str(cgroups.refusal({"memory.high": "1"}))


# Every limit takes effect.


@needs_cgroups
def test_memory_counts_what_processes_touch(group: Cgroup) -> None:
    with in_group(group, TOUCH) as process:
        assert first_line(process) == "touched"
        use = group.memory()
    assert isinstance(use, MemoryUse)
    assert 32 * MIB <= use.anon < 64 * MIB
    assert use.current >= use.anon


@needs("memory.max")
def test_memory_max_kills_and_the_kill_is_counted(group: Cgroup) -> None:
    group.write("memory.max", str(16 * MIB))
    if cgroups.refusal({"memory.swap.max": "0"}) is None:
        group.write("memory.swap.max", "0")
    assert group.oom_kills() == 0
    with in_group(group, TOUCH) as process:
        assert process.wait(timeout=30) == -9
    assert group.oom_kills() == 1


@needs("memory.high")
def test_memory_high_throttles_and_says_so(group: Cgroup) -> None:
    group.write("memory.high", str(16 * MIB))
    with in_group(group, TOUCH.replace(str(32 * MIB), str(17 * MIB))) as process:
        assert first_line(process) == "touched"
    assert flat(group, "memory.events")["high"] > 0


@needs("memory.swap.max")
def test_the_limit_of_swap_stays_when_that_of_memory_moves(group: Cgroup) -> None:
    """v1 has one limit for both: it moves along."""
    group.update({"memory.max": str(64 * MIB), "memory.swap.max": str(8 * MIB)})
    for memory in (128 * MIB, 32 * MIB):
        group.update({"memory.max": str(memory)})
        assert group.read("memory.swap.max").strip() == str(8 * MIB)
    group.update({"memory.max": "max", "memory.swap.max": "max"})
    assert group.read("memory.swap.max").strip() == "max"


@needs("cpu.max")
def test_cpu_max_holds_a_busy_process_back(group: Cgroup) -> None:
    """The kernel tells how often it did (cpu.stat). The process's own CPU time tells less: in a
    guest it also counts what the host took away."""
    group.write("cpu.max", "20000 100000")
    assert told(group, f"{BUSY}print('done', flush=True)") == "done"
    assert flat(group, "cpu.stat")["nr_throttled"] > 0


@needs("cpu.weight")
@needs("cpuset.cpus")
def test_cpu_weight_shares_one_cpu_out(group: Cgroup) -> None:
    other = Cgroup.create(f"{cgroups.top()}/{NAME}-other")
    try:
        for each, weight in ((group, "100"), (other, "800")):
            each.update({"cpuset.cpus": "0", "cpu.weight": weight})
        forever = "print('busy', flush=True)\nwhile True: pass"
        with in_group(group, forever) as first, in_group(other, forever) as second:
            assert first_line(first) == first_line(second) == "busy"
            before = used(group), used(other)
            time.sleep(1)
            after = used(group), used(other)
        light, heavy = (end - start for start, end in zip(before, after, strict=True))
        assert heavy > 2 * light
    finally:
        other.remove()


@needs("cpuset.cpus")
def test_cpuset_cpus_is_where_processes_may_run(group: Cgroup) -> None:
    last = str(max(os.sched_getaffinity(0)))
    group.update({"cpuset.cpus": last, "cpuset.mems": "0"})
    assert told(group, "import os; print(*os.sched_getaffinity(0), flush=True)") == last


@needs("pids.max")
def test_pids_max_stops_a_fork(group: Cgroup) -> None:
    group.write("pids.max", "1")
    program = "import os\ntry: os.fork()\nexcept OSError as e: print(e.errno, flush=True)"
    assert told(group, program) == "11"  # EAGAIN


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of the test's own (loop(4))."""
    (tmp_path / "image").write_bytes(bytes(2 * MIB))
    if not Path("/dev/loop-control").exists() and (modprobe := shutil.which("modprobe")):
        subprocess.run([modprobe, "loop"], check=False)
    made = subprocess.run(
        ["losetup", "--find", "--show", str(tmp_path / "image")], capture_output=True, text=True
    )
    if made.returncode:
        pytest.skip(f"no loop device: {made.stderr.strip()}")
    yield Path(made.stdout.strip())
    subprocess.run(["losetup", "--detach", made.stdout.strip()], check=True)


@needs("io.max")
@needs_root
def test_io_max_slows_reading_down(group: Cgroup, disk: Path) -> None:
    device = os.stat(disk).st_rdev
    group.update({"io.max": f"{os.major(device)}:{os.minor(device)} rbps={MIB} wiops=100"})
    assert f"rbps={MIB} wbps=max riops=max wiops=100" in group.read("io.max")
    program = (
        f"import mmap, os, time; fd = os.open({str(disk)!r}, os.O_RDONLY | os.O_DIRECT)\n"
        f"start = time.monotonic(); os.readv(fd, [mmap.mmap(-1, {MIB // 2})])\n"
        f"os.readv(fd, [mmap.mmap(-1, 4096)]); print(time.monotonic() - start, flush=True)"
    )
    assert float(told(group, program)) > 0.3
    assert f"rbytes={MIB // 2 + 4096}" in group.read("io.stat")


@needs("hugetlb.2MB.rsvd.max")
def test_hugetlb_max_refuses_huge_pages(group: Cgroup) -> None:
    """The kernel asks the cgroup before it looks for pages: none need to be set aside."""
    group.write("hugetlb.2MB.rsvd.max", "0")
    huge = f"import mmap\ntry: mmap.mmap(-1, {2 * MIB}, {mmap.MAP_PRIVATE | 0x40020})\n"
    assert told(group, f"{huge}except OSError as e: print(e.errno, flush=True)") == "12"  # ENOMEM
    assert flat(group, "hugetlb.2MB.events")["max"] > 0


@needs_cgroups
@needs_root
def test_io_weight_needs_a_scheduler_that_heeds_it(group: Cgroup, disk: Path) -> None:
    scheduler = Path(f"/sys/block/{disk.name}/queue/scheduler")
    try:
        scheduler.write_text("bfq")
    except OSError:
        pytest.skip("this kernel has no bfq")
    group.update({"io.weight": "300"})
    assert group.read("io.weight").strip() == "default 300"
    scheduler.write_text("none")
    others = [file.read_text() for file in Path("/sys/block").glob("*/queue/scheduler")]
    if "[bfq]" not in "".join(others) and not cgroups._iocost():
        with pytest.raises(LabError, match=r"io\.weight: no disk of this host heeds weights"):
            group.update({"io.weight": "300"})


# While processes run.


@needs_cgroups
def test_update_is_all_or_nothing(group: Cgroup) -> None:
    before = {"pids.max": "64", "cpu.max": "50000 100000"}
    group.update(before)
    with pytest.raises(LabError, match=r"set cpuset\.cpus to '4000'"):
        group.update({"pids.max": "7", "cpu.max": "20000 50000", "cpuset.cpus": "4000"})
    assert {file: group.read(file).strip() for file in before} == before
    with pytest.raises(LabError, match=r"limit pids\.max, memory\.nonsense"):
        group.update({"pids.max": "7", "memory.nonsense": "1"})
    assert group.read("pids.max").strip() == "64"


@needs_cgroups
def test_a_frozen_cgroup_stands_still_goes_on_and_can_be_killed(group: Cgroup) -> None:
    with in_group(group, "while True: print('tick', flush=True); sys.stdin.readline()") as process:
        assert process.stdin is not None
        assert first_line(process) == "tick"
        group.freeze()
        assert group.frozen()
        process.stdin.write("\n")
        process.stdin.flush()
        assert not select.select([process.stdout], [], [], 0.2)[0], "it went on"
        group.thaw()
        assert first_line(process) == "tick"
        assert not group.frozen()
        group.freeze()
        group.kill()
        assert process.wait(timeout=5) == -9


@needs_cgroups
def test_remove_ends_every_process_in_it(group: Cgroup) -> None:
    with in_group(group, WAIT) as first, in_group(group, WAIT) as second:
        assert group.processes() == sorted([first.pid, second.pid])
        group.remove()
        assert [first.wait(timeout=5), second.wait(timeout=5)] == [-9, -9]
    assert not group.exists()
    group.remove()  # content to find nothing


@needs_cgroups
def test_cgroups_that_a_container_made_below_its_own_go_with_it(group: Cgroup) -> None:
    inner = Cgroup.create(f"{cgroups.top()}/{NAME}/inner")
    for folder in inner._folders():
        (folder / "deeper").mkdir()
    with in_group(inner, WAIT) as process:
        assert group.processes() == [process.pid]
        group.remove()
        assert process.wait(timeout=5) == -9
    assert not group.exists()


@needs_cgroups
def test_a_process_killed_for_memory_below_it_counts(group: Cgroup) -> None:
    inner = Cgroup.create(f"{cgroups.top()}/{NAME}/inner", {"memory.max": str(16 * MIB)})
    with in_group(inner, TOUCH) as process:
        assert process.wait(timeout=30) == -9
    assert group.oom_kills() == 1


# Without root.


AS_NOBODY = """
import json, os
from labrt import cgroups
os.setgroups([]); os.setgid(65534); os.setuid(65534)
"""
REFUSED = f"""{AS_NOBODY}
try: cgroups.Cgroup.create(cgroups.top() + "/{NAME}")
except cgroups.LabError as error: print(error)
"""


@needs_root
def test_where_a_user_may_make_none_the_reason_is_told() -> None:
    said = subprocess.run([sys.executable, "-c", REFUSED], cwd=ROOT, capture_output=True, text=True)
    assert re.match(r"make the cgroup.*(run as root|mount -t).*\n$", said.stdout), said.stderr


MAKES_ONE = (
    AS_NOBODY
    + """
limits = {"pids.max": "5", "memory.max": "16777216"}
inner = cgroups.Cgroup.create(cgroups.top() + "/lab-inner", limits)
inner.add(os.getpid())
found = [str(folder) for folder in inner._folders() if folder.exists()], inner.processes()
print(json.dumps(found), flush=True)
"""
)


@needs_cgroups
@needs_root
def test_in_a_delegated_cgroup_a_normal_user_makes_some(group: Cgroup) -> None:
    """systemd delegates by chown(2), as here; what the user makes lies below."""
    for folder in group._folders():
        for file in (".", "cgroup.procs", "tasks", "cgroup.threads", "cgroup.subtree_control"):
            if (folder / file).exists():
                os.chown(folder / file, 65534, 65534)
    with in_group(group, f"sys.path.insert(0, {str(ROOT)!r}){MAKES_ONE}") as process:
        folders, pids = json.loads(first_line(process))
        assert pids == [process.pid]
    assert folders == [str(folder / cgroups.top() / "lab-inner") for folder in group._folders()]


# Another layout of the same host.

WITHOUT_V2 = f"""
import sys; sys.path.insert(0, {str(ROOT)!r})
from labrt import cgroups, usage
import os, subprocess
group = cgroups.Cgroup.create(cgroups.top() + "/{NAME}")
process = subprocess.Popen(["sleep", "60"])
group.add(process.pid)
group.freeze()
frozen = group.frozen(), usage.read(group).cpu_usec is not None, usage.pressure(group)
group.kill()
group.remove()
cgroups.remove_top()
print([cgroups.layout().kind, frozen, process.wait()])
"""


@needs_root
@pytest.mark.skipif(cgroups.layout().kind != "hybrid", reason="needs both versions of cgroups")
def test_without_any_v2_hierarchy_v1s_freezer_and_cpuacct_serve() -> None:
    script = f"umount {cgroups.layout().unified} && exec {sys.executable} -"
    command = ["unshare", "--mount", "sh", "-c", script]
    said = subprocess.run(command, input=WITHOUT_V2, capture_output=True, text=True, timeout=60)
    assert said.stdout.strip() == "['v1', (True, True, {}), -9]", said.stderr


# A whole container.


@needs_cgroups
def test_a_limit_too_low_for_the_start_itself_is_told(nothing_left: None) -> None:
    with pytest.raises(LabError, match="memory") as caught:
        labrt.output("busybox", ["true"], memory="32k")
    assert "\n" not in str(caught.value)


@needs_cgroups
def test_a_container_is_in_its_cgroup_in_every_hierarchy(nothing_left: None) -> None:
    with labrt.run("busybox", ["sleep", "60"]) as container:
        assert container.cgroup is not None
        for folder in container.cgroup._folders():
            assert (folder / "cgroup.procs").read_text().split() == [str(container.pid)]
        container.cgroup.freeze()
        assert container.cgroup.frozen()
