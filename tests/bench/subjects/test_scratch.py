"""A scratch in each kind of instance: it works there and nowhere else, and it goes with it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from bench import clean, fio, scratch, subjects, work
from bench.experiments.disk import Disk
from bench.scratch import Scratch
from bench.subjects.base import Subject, Workload
from labrt import cgroups
from tests.bench.subjects.test_containers import START, kill_once_ready

ROOT = Path(__file__).parent.parent.parent.parent
NAMES = (
    *("process", "labrt", "labrt-cli", "runc", "crun", "bubblewrap", "systemd-nspawn"),
    *("podman", "docker"),
)
SECONDS = 60.0
# As START, with a scratch that it has written to.
LEAVE = START.replace(
    "subject.prepare(",
    "import dataclasses\nfrom bench.experiments.disk import Disk\nsubject.prepare(",
).replace(
    "Workload(image, digest)", "dataclasses.replace(Workload(image, digest), scratch=Disk.scratch)"
)

pytestmark = [
    pytest.mark.skipif(fio.unavailable() is not None, reason=str(fio.unavailable())),
    pytest.mark.skipif(cgroups.unavailable() is not None, reason=str(cgroups.unavailable())),
]


@pytest.fixture
def asked(busybox: Workload) -> Workload:
    if reason := scratch.refusal():
        pytest.skip(reason)
    return Disk().workload(busybox)


@pytest.fixture(params=NAMES)
def subject(
    request: pytest.FixtureRequest, home: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Subject]:
    if request.param == "docker":
        monkeypatch.setenv("DOCKER_HOST", request.getfixturevalue("docker_daemon"))
    made = subjects.make(request.param)
    if reason := made.unavailable():
        pytest.skip(f"{request.param}: {reason}")
    with made:
        yield made


def test_it_does_its_work_in_a_folder_of_the_host_which_goes_with_it(
    subject: Subject, asked: Workload
) -> None:
    assert subject.lacks(asked) is None
    subject.prepare(asked)
    folder = Scratch(f"lab-{subject.name}-disk").folder
    with subject.start(asked, folder.name) as instance:
        instance.wait_ready(SECONDS)
        instance.marks.wait(work.DONE, SECONDS)
        assert set(work.read(instance.marks.seen()).parts) == set(Disk.parts)
        assert (folder / "work").stat().st_size == 64 * 2**20
    assert list(scratch.home().iterdir()) == []


@pytest.mark.parametrize("name", ["process", "labrt", "runc"])
def test_clean_finds_that_of_a_killed_bench(name: str, asked: Workload) -> None:
    if reason := subjects.make(name).unavailable():
        pytest.skip(reason)
    kill_once_ready(LEAVE, name, asked.image, asked.digest)
    removals = (clean.containers, clean.bundles, clean.groups, clean.scratches)
    removed = [each for remove in removals for each in remove()]
    assert f"the scratch of lab-{name}-left" in removed
    assert list(scratch.home().iterdir()) == []


def test_who_cannot_have_one_says_so(busybox: Workload) -> None:
    wanted = replace(busybox, scratch=2**20)
    for name, reason in (("vm-microvm", "no PCI"), ("labrt-rootless", "LAB_HOME of root")):
        assert reason in str(subjects.make(name).lacks(wanted))
        assert subjects.make(name).lacks(busybox) is None
