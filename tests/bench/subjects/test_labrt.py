"""bench/subjects/labrt.py: a container as a subject: stamped, limited, gone when it is gone."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import replace

import pytest

from bench.subjects.base import Instance, InstanceFailed, Workload
from bench.subjects.labrt import Labrt
from tests.bench.conftest import needs_cgroups

pytestmark = [needs_cgroups, pytest.mark.usefixtures("nothing_left")]


@pytest.fixture
def subject(workload: Workload) -> Iterator[Labrt]:
    with Labrt() as made:
        made.prepare(workload)
        yield made


@pytest.fixture
def instance(subject: Labrt, workload: Workload) -> Iterator[Instance]:
    with subject.start(workload, "lab-labrt-test") as started:
        started.wait_ready(10)
        yield started


def test_its_stamps_are_in_order(instance: Instance) -> None:
    stamps = instance.stamps
    assert stamps.t0 and stamps.t1 and stamps.t2 and stamps.t3
    assert stamps.t0 < stamps.t1 < stamps.t2 <= stamps.t3


def test_it_has_namespaces_of_its_own(instance: Instance) -> None:
    for name in ("mnt", "pid", "net", "ipc", "uts", "user"):
        ours = os.readlink(f"/proc/self/ns/{name}")
        assert os.readlink(f"/proc/{instance.pids()[0]}/ns/{name}") != ours


def test_its_cgroup_has_the_workloads_limits(instance: Instance, workload: Workload) -> None:
    group = instance.cgroup()
    assert group is not None
    for file, value in {"memory.max": str(workload.memory), "cpu.max": "100000 100000"}.items():
        for path, text in group.files(file, value).items():
            assert path.read_text().strip() == text


def test_stop_returns_when_nothing_is_left(instance: Instance) -> None:
    group = instance.cgroup()
    instance.stop(10)
    assert group is not None and not group.exists()


def test_destroy_may_be_called_again_and_again(instance: Instance) -> None:
    instance.destroy()
    instance.destroy()


def test_one_that_dies_before_it_is_ready_is_told(subject: Labrt, workload: Workload) -> None:
    small = replace(workload, memory=64 * 1024)
    with pytest.raises(InstanceFailed), subject.start(small, "lab-labrt-small") as started:
        started.wait_ready(10)


def test_an_image_that_is_gone_is_told(subject: Labrt, workload: Workload) -> None:
    with pytest.raises(InstanceFailed, match="nothing-like-it"):
        subject.start(replace(workload, image="nothing-like-it"), "lab-labrt-none")
