"""bench/subjects/process.py: an ordinary process with the container's limits."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import psutil
import pytest

from bench.subjects.base import Instance, InstanceFailed, Workload
from bench.subjects.process import Process, Program
from labrt.cgroups import Cgroup, top
from tests.bench.conftest import needs_cgroups

pytestmark = [needs_cgroups, pytest.mark.usefixtures("nothing_left")]


@pytest.fixture
def subject(workload: Workload) -> Iterator[Process]:
    with Process() as made:
        made.prepare(workload)
        yield made


@pytest.fixture
def instance(subject: Process, workload: Workload) -> Iterator[Instance]:
    with subject.start(workload, "lab-process-test") as started:
        started.wait_ready(10)
        yield started


def test_it_runs_the_images_program_with_the_images_shell(instance: Instance) -> None:
    first = psutil.Process(min(instance.pids()))
    assert first.cmdline()[-1].endswith("/lab/ready")
    assert Path(first.exe()).name == "busybox"
    assert "/layers/" in first.exe()


def test_its_stamps_are_in_order(instance: Instance) -> None:
    stamps = instance.stamps
    assert stamps.t0 and stamps.t1 and stamps.t2 and stamps.t3
    assert stamps.t0 < stamps.t1 < stamps.t2 <= stamps.t3


def test_it_is_in_no_namespace_of_its_own(instance: Instance) -> None:
    for name in os.listdir("/proc/self/ns"):
        ours = os.readlink(f"/proc/self/ns/{name}")
        assert os.readlink(f"/proc/{instance.pids()[0]}/ns/{name}") == ours


def test_its_cgroup_has_the_workloads_limits(instance: Instance, workload: Workload) -> None:
    group = instance.cgroup()
    assert group is not None
    for file, value in {"memory.max": str(workload.memory), "cpu.max": "100000 100000"}.items():
        for path, text in group.files(file, value).items():
            assert path.read_text().strip() == text


def test_all_that_it_starts_is_in_its_cgroup(instance: Instance) -> None:
    first = psutil.Process(min(instance.pids()))
    assert {child.pid for child in first.children()} < set(instance.pids())


def test_stop_asks_politely_and_leaves_nothing(instance: Instance) -> None:
    pids = instance.pids()
    instance.stop(10)
    assert not any(psutil.pid_exists(pid) for pid in pids[:1])
    assert instance.pids() == []
    group = instance.cgroup()
    assert group is not None and not group.exists()


def test_destroy_may_be_called_again_and_again(instance: Instance) -> None:
    instance.destroy()
    instance.destroy()
    with pytest.raises(InstanceFailed):
        instance.stop(1)


def let_run(subject: Process, workload: Workload, *arguments: str, shell: str = "") -> None:
    """Let the subject's interpreter run something else than the image's script."""
    key = workload.digest, workload.command
    found = subject._programs[key]
    subject._programs[key] = Program(shell or found.shell, [shell or found.shell, *arguments])


def test_one_that_dies_before_it_is_ready_is_told(subject: Process, workload: Workload) -> None:
    let_run(subject, workload, "/nonexistent/script")
    started = subject.start(workload, "lab-process-dies")
    with started, pytest.raises(InstanceFailed) as caught:
        started.wait_ready(10)
    assert "its output ended before the mark lab:ready" in str(caught.value)
    assert "/nonexistent/script" in str(caught.value)


def test_one_that_is_never_ready_is_told_after_the_deadline(
    subject: Process, workload: Workload
) -> None:
    let_run(subject, workload, "-c", "while :; do sleep 1; done")
    started = subject.start(workload, "lab-process-late")
    with started, pytest.raises(InstanceFailed, match="0.2 s passed"):
        started.wait_ready(0.2)


def test_one_that_does_not_stop_is_told_and_can_be_destroyed(
    subject: Process, workload: Workload
) -> None:
    program = "trap '' TERM; echo lab:init; echo lab:ready; while :; do sleep 1; done"
    let_run(subject, workload, "-c", program)
    with subject.start(workload, "lab-process-stubborn") as started:
        started.wait_ready(10)
        with pytest.raises(InstanceFailed, match="still running 0.2 s after SIGTERM"):
            started.stop(0.2)


def test_a_limit_that_the_kernel_refuses_leaves_nothing(
    subject: Process, workload: Workload
) -> None:
    with pytest.raises(InstanceFailed):
        subject.start(replace(workload, cpus=0.0001), "lab-process-refused")
    assert not Cgroup(f"{top()}/lab-process-refused").exists()


def test_one_that_cannot_be_spawned_leaves_nothing(subject: Process, workload: Workload) -> None:
    let_run(subject, workload, "x", shell="/nonexistent/sh")
    with pytest.raises(InstanceFailed, match="/nonexistent/sh"):
        subject.start(workload, "lab-process-nothing")
    assert not Cgroup(f"{top()}/lab-process-nothing").exists()
