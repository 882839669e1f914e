"""bench/subjects/runc.py, crun.py, podman.py, docker.py, labrt_cli.py and labrt_bridge.py: whoever
runs the container, it is stamped, limited, apart from the host, and gone when it is gone.

The same specification for each that can run on this host; test_unavailable.py says which can't, and
why.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import psutil
import pytest

from bench import clean, killed, oci_cgroups, subjects
from bench.subjects import docker, podman
from bench.subjects._called import first
from bench.subjects.base import Instance, InstanceFailed, Subject, Workload
from labrt import cgroups, paths, state
from labrt.cgroups import Cgroup
from labrt.errors import LabError

ROOT = Path(__file__).parent.parent.parent.parent
NAMES = (
    *("runc", "crun", "podman", "docker", "bubblewrap", "systemd-nspawn"),
    *("labrt-cli", "labrt-bridge", "labrt-rootless"),
)
# The daemon that docker asks for is the tests' own, and not started yet.
ABSENT = {
    name: why for name in NAMES if name != "docker" if (why := subjects.make(name).unavailable())
}
APART = ("mnt", "pid", "net", "ipc", "uts")
SECONDS = 30.0

START = """
import sys
from bench import killed, subjects
from bench.subjects.base import Workload
name, image, digest = sys.argv[1:]
subject = subjects.make(name)
killed.hold()
subject.prepare(Workload(image, digest))
subject.start(Workload(image, digest), f"lab-{name}-left").wait_ready(30)
print("ready", flush=True)
sys.stdin.read()
"""


@pytest.fixture(scope="module", params=[name for name in NAMES if name not in ABSENT])
def subject(request: pytest.FixtureRequest, busybox: Workload) -> Iterator[Subject]:
    with pytest.MonkeyPatch.context() as patch:
        if request.param == "docker":
            patch.setenv("DOCKER_HOST", request.getfixturevalue("docker_daemon"))
        made = subjects.make(request.param)
        if reason := made.unavailable():
            pytest.skip(f"{request.param}: {reason}")
        with made:
            made.prepare(busybox)
            yield made


@pytest.fixture(scope="module")
def ready(subject: Subject, busybox: Workload) -> Iterator[Instance]:
    """One that only is looked at."""
    with subject.start(busybox, f"lab-{subject.name}-ready") as started:
        started.wait_ready(SECONDS)
        yield started


@pytest.fixture
def instance(subject: Subject, busybox: Workload) -> Iterator[Instance]:
    with subject.start(busybox, f"lab-{subject.name}-test") as started:
        started.wait_ready(SECONDS)
        yield started


def left(subject: Subject) -> set[str]:
    """Name what there is of a subject's instances on this host."""
    found = {entry.name for entry in paths.run_dir().iterdir() if "-lab-" in entry.name}
    found |= {folder.name for folder in state.folders()}
    found |= {group.name for group in cgroups.all_cgroups()}
    for point in oci_cgroups._points():
        found |= {folder.name for folder in point.glob(oci_cgroups.name("lab-*"))}
    if subject.name == "podman":
        found |= set(podman.engine().marked())
    if subject.name == "docker":
        found |= set(docker.ENGINE.marked())
    return found


@pytest.fixture(autouse=True)
def nothing_left(subject: Subject, ready: Instance) -> Iterator[None]:
    before = left(subject)
    yield
    assert left(subject) <= before


def lives(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def group_of(pid: int) -> Cgroup:
    """The cgroup where a process's memory is limited."""
    for line in Path(f"/proc/{pid}/cgroup").read_text().splitlines():
        _, controllers, path = line.split(":", 2)
        if controllers == ("memory" if "memory" in cgroups.layout().v1 else ""):
            return Cgroup(path.lstrip("/"))
    raise AssertionError("no memory controller")


def test_its_stamps_are_in_order(ready: Instance) -> None:
    stamps = ready.stamps
    assert stamps.t0 and stamps.t1 and stamps.t2 and stamps.t3
    assert stamps.t0 < stamps.t1 < stamps.t2 <= stamps.t3


def test_it_runs_the_images_program_in_namespaces_of_its_own(
    subject: Subject, ready: Instance
) -> None:
    pid = first(ready.pids())
    assert psutil.Process(pid).cmdline()[-1] == "/lab/ready"
    apart = {*APART, *(("user",) if "unprivileged uid" in subject.conditions()["posture"] else ())}
    for name in apart:
        assert os.readlink(f"/proc/{pid}/ns/{name}") != os.readlink(f"/proc/self/ns/{name}")


def test_it_has_the_workloads_limits(subject: Subject, ready: Instance, busybox: Workload) -> None:
    group = group_of(first(ready.pids()))
    own = ready.cgroup()
    if own and subject.name == "systemd-nspawn":  # it makes one of its own below
        assert f"{group.name}/".startswith(f"{own.name}/")
        group = own
    for file, value in {"memory.max": str(busybox.memory), "cpu.max": "100000 100000"}.items():
        for path, text in group.files(file, value).items():
            assert path.read_text().strip() == text


def test_its_cgroup_holds_exactly_its_processes(subject: Subject, ready: Instance) -> None:
    group = ready.cgroup()
    if group is None:
        assert subject.name in ("docker", "labrt-cli", "podman")  # shim, client, conmon: elsewhere
        return
    assert set(group.processes()) == set(ready.pids())
    assert group.memory().anon > 0


def test_every_process_counts_that_is_there_because_of_it(
    subject: Subject, ready: Instance
) -> None:
    inside = first(ready.pids())
    others = {psutil.Process(pid).name() for pid in ready.pids()} - {"ready", "sleep", "sh"}
    monitor = {
        "podman": {"conmon"},
        "docker": {"containerd-shim"},
        "labrt-cli": {psutil.Process().name()},
        "labrt-rootless": {psutil.Process().name()},
        "bubblewrap": {"bwrap"},
        "systemd-nspawn": {"systemd-nspawn"},
    }.get(subject.name, set())
    assert {name.removesuffix("-runc-v2") for name in others} == monitor
    assert {child.pid for child in psutil.Process(inside).children()} <= set(ready.pids())


def test_its_conditions_say_what_it_is(subject: Subject) -> None:
    found = subject.conditions()
    assert found["posture"]
    assert found["network"] == ("bridge" if subject.name == "labrt-bridge" else "none")


def test_stop_asks_politely_and_leaves_nothing(subject: Subject, instance: Instance) -> None:
    pids = instance.pids()
    assert all(map(lives, pids))
    instance.stop(SECONDS)
    assert not any(map(lives, pids))
    assert f"lab-{subject.name}-test" not in " ".join(left(subject))


def test_destroy_may_be_called_again_and_again(instance: Instance) -> None:
    pids = instance.pids()
    instance.destroy()
    assert not any(map(lives, pids))
    instance.destroy()
    assert instance.pids() == []


@pytest.mark.parametrize("after", [0.0, 0.03, 0.06, 0.09, 0.12, 0.15])
def test_it_can_be_destroyed_while_it_starts(
    after: float, subject: Subject, busybox: Workload
) -> None:
    with subject.start(busybox, f"lab-{subject.name}-soon"):
        time.sleep(after)


def test_one_that_does_not_stop_is_told_and_can_be_destroyed(instance: Instance) -> None:
    os.kill(first(instance.pids()), signal.SIGSTOP)
    time.sleep(0.3)  # asked while it starts, labrt's command ends it at once
    with pytest.raises(InstanceFailed):
        instance.stop(0.5)
    assert instance.pids()


def test_one_that_is_killed_before_it_is_asked_to_stop_has_ended_and_can_be_destroyed(
    instance: Instance,
) -> None:
    pid = first(instance.pids())
    assert not instance.ended()
    os.kill(pid, signal.SIGKILL)
    deadline = time.monotonic() + SECONDS
    while lives(pid) or not instance.ended():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_one_that_dies_before_it_is_ready_is_told(subject: Subject, busybox: Workload) -> None:
    small = replace(busybox, memory=64 * 1024)
    with (
        pytest.raises(InstanceFailed, match=r"\w"),
        subject.start(small, f"lab-{subject.name}-small") as started,
    ):
        started.wait_ready(SECONDS)


def test_one_that_misses_its_deadline_is_told(subject: Subject, busybox: Workload) -> None:
    with subject.start(busybox, f"lab-{subject.name}-late") as started:
        if subject.name != "labrt-bridge":  # it may be ready when the call returns
            with pytest.raises(InstanceFailed, match=r"0\.001 s passed before the mark lab:ready"):
                started.wait_ready(0.001)


def test_an_image_that_is_not_there_is_told(subject: Subject, busybox: Workload) -> None:
    with (
        pytest.raises(LabError, match="nothing-like-it"),
        subjects.make(subject.name) as another,
    ):
        another.prepare(replace(busybox, image="nothing-like-it"))


def kill_once_ready(script: str, *words: str) -> None:
    """Run a script in a process of its own, and kill that when it says "ready"."""
    bench = subprocess.Popen(
        [sys.executable, "-c", script, *words],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert bench.stdout is not None
    assert bench.stdout.readline() == "ready\n"
    bench.kill()
    bench.communicate(timeout=SECONDS)


def by_clean() -> list[str]:
    return [
        *clean.containers(),
        *clean.bundles(),
        *clean.sandboxes(),
        *clean.podman_containers(),
        *clean.docker_containers(),
        *clean.groups(),
        *clean.rootless_homes(),
    ]


def by_the_next_bench() -> list[str]:
    """Or its supervisor, who has ended its orphans by then. They see that this process may have
    instances, and so would do nothing."""
    for process in psutil.process_iter(["cmdline"]):
        if "--name=lab-labrt-cli-left" in (process.info["cmdline"] or ()):
            process.kill()
            process.wait(SECONDS)
    (paths.run_dir() / "benches" / str(os.getpid())).unlink(missing_ok=True)
    return list(killed.remove())


@pytest.mark.parametrize("remove", [by_clean, by_the_next_bench])
def test_what_a_killed_bench_has_left_is_removed(
    subject: Subject, busybox: Workload, remove: Callable[[], list[str]]
) -> None:
    kill_once_ready(START, subject.name, busybox.image, busybox.digest)
    assert remove() or subject.name == "labrt-bridge"  # whose launcher undoes it
    assert not left(subject)
