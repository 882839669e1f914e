"""bench/experiments/image.py, bench/other_host.py, bench/guest_package.py: a program travels to
another host, as a container and as a VM, and after a change only what has changed."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path

import pytest

from bench import clean, guest, guest_kernel, guest_package, other_host, plots, statistics, subjects
from bench.client import ended
from bench.experiments.base import Settings, Trial
from bench.experiments.image import FIRST, KINDS, STEPS, UPDATE, Image
from bench.observations import Observation
from bench.other_host import OtherHost
from bench.subjects.base import InstanceFailed, Workload
from bench.views import image as view
from labrt import paths
from labrt.errors import LabError
from labrt.images import store
from tests.bench.conftest import needs_cgroups

pytestmark = [
    needs_cgroups,
    pytest.mark.skipif(
        Image().unavailable() is not None, reason="no docker-registry; ./lab setup --test has it"
    ),
]

LEAVE = """
import sys
from bench.other_host import OtherHost
host = OtherHost("labrt")
host.ask("open")
print("up", host._process.pid, flush=True)
sys.stdin.read()
"""


def measured(name: str, workload: Workload) -> list[Observation]:
    rows: list[Observation] = []
    with subjects.make(name) as subject:
        conditions = {"kind": subject.kind, "title": subject.title, "digest": workload.digest}
        trial = Trial(subject, workload, "image", 0, Settings(), "test", rows.append, conditions)
        with trial:
            Image().measure(trial)
    return rows


def value(rows: list[Observation], phase: str, metric: str) -> float:
    (found,) = statistics.ok(statistics.select(rows, phase=phase, metric=metric))
    return found


@pytest.fixture
def kernel(monkeypatch: pytest.MonkeyPatch) -> None:
    """The one that set-up has fetched, for a home that has none; to be asked for before it."""
    try:
        monkeypatch.setenv("LAB_KERNEL", str(guest_kernel.find_kernel().path))
    except LabError as error:
        pytest.skip(str(error))


@pytest.fixture(scope="module")
def rows(image_home: Path) -> list[Observation]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("LAB_HOME", str(image_home / "home"))
        patch.setenv("LAB_RUN", str(image_home / "run"))
        image = store.resolve("busybox")
        before = store.entries()
        found = measured("labrt", Workload(image.name, image.digest))
        assert store.entries() == before, "the user's own store isn't touched"
        assert list(other_host.homes().iterdir()) == []
        return found


def test_every_step_is_timed_and_they_add_up(rows: list[Observation]) -> None:
    for phase in (FIRST, UPDATE):
        parts = [value(rows, phase, step) for step in STEPS[:-1]]
        assert all(part > 0 for part in parts)
        assert value(rows, phase, "total") == pytest.approx(sum(parts))


def test_after_a_change_only_what_has_changed_is_sent(rows: list[Observation]) -> None:
    assert value(rows, UPDATE, "sent") < 4096 < 100 * 1024 < value(rows, FIRST, "sent")


def test_a_container_carries_files_and_nothing_else(rows: list[Observation]) -> None:
    kernel, own, files = (value(rows, "contents", kind) for kind in KINDS)
    assert (kernel, own) == (0, 0)
    assert files > 100 * 1024


def test_the_table_has_both_versions_and_what_is_held(rows: list[Observation]) -> None:
    assert (*view.PHASES,) == (FIRST, UPDATE)
    assert view.STEPS == STEPS
    assert tuple(kind for kind, *_ in view.HELD) == KINDS
    shown = view.table(rows)
    assert [row[1] for row in shown.rows] == list(view.PHASES.values())
    assert any("the image's files" in note for note in shown.notes)
    assert [len(row) for row in view.parts(rows).rows] == [2 + len(STEPS)] * 2


def test_the_picture_can_be_drawn(
    rows: list[Observation], row: Callable[..., Observation], tmp_path: Path
) -> None:
    picture = view.VIEW.pictures["image"]
    failed = row(None, experiment="image", subject="vm", phase=FIRST, metric="total")
    assert picture.drawable(rows)
    assert not picture.drawable([failed])
    plots.draw([[*rows, failed]], "a host", tmp_path / "image.png", picture.draw)
    assert (tmp_path / "image.png").stat().st_size > 10_000


@pytest.mark.slow
@pytest.mark.parametrize("name", ["vm", "vm-disk"])
def test_a_vm_takes_a_kernel_along_but_sends_it_once(
    name: str, kernel: None, workload: Workload
) -> None:
    if reason := subjects.make(name).unavailable():
        pytest.skip(reason)
    found = measured(name, workload)
    sizes = {kind: value(found, "contents", kind) for kind in KINDS}
    assert min(sizes.values()) > 100 * 1024
    assert sizes["kernel"] < value(found, FIRST, "sent")
    assert value(found, UPDATE, "sent") < sizes["kernel"]
    assert value(found, UPDATE, "start") > 0


def test_what_is_a_guests_own_and_what_the_images(
    kernel: None, workload: Workload, tmp_path: Path
) -> None:
    built = guest.build(store.resolve(workload.image), folder=tmp_path)
    packed = guest_package.pack(built, "guest:1")
    sizes = guest_package.contents(packed)
    assert sizes["kernel"] == built.kernel.path.stat().st_size
    assert 0 < built.initramfs.stat().st_size - sizes["guest"] - sizes["files"] + 1024 < 2048
    again = guest_package.unpack(packed, workload.digest)
    assert again.kernel.release == built.kernel.release
    assert again.initramfs.read_bytes() == built.initramfs.read_bytes()
    with pytest.raises(LabError, match="it has no vmlinuz"):
        guest_package.unpack(store.resolve(workload.image), workload.digest)
    store.untag(store.found("guest:1"))


def test_what_another_host_cannot_do_is_told_and_it_goes_on(workload: Workload) -> None:
    with OtherHost("labrt") as host:
        with pytest.raises(LabError, match="no such image in the store"):
            host.ask("unpack", name="nothing", workload=asdict(workload))
        assert host.ask("open")["took"] >= 0


def test_one_that_does_not_answer_is_ended(workload: Workload) -> None:
    with pytest.raises(LabError, match="no answer within 0 s"), OtherHost("labrt") as host:
        host.ask("open", timeout=0)
    assert list(other_host.homes().iterdir()) == []


def test_a_trial_that_fails_tells_why_and_leaves_nothing(workload: Workload) -> None:
    with pytest.raises(InstanceFailed, match="no-such-image"):
        measured("labrt", Workload("no-such-image", workload.digest))
    assert list(other_host.homes().iterdir()) == []


def test_clean_finds_the_hosts_that_a_killed_bench_has_left(workload: Workload) -> None:
    root = Path(__file__).parent.parent.parent.parent
    bench = subprocess.Popen(
        [sys.executable, "-c", LEAVE],
        env={**os.environ, "PYTHONPATH": str(root)},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert bench.stdout is not None
    _, pid = bench.stdout.readline().split()
    assert list(clean.other_hosts()) == [], "a living bench's is its own to remove"
    pidfd = os.pidfd_open(int(pid))
    bench.kill()
    bench.communicate(timeout=30)
    assert ended(pidfd, 30), "its input has ended"
    os.close(pidfd)
    assert len(list(clean.other_hosts())) == 1
    assert list(other_host.homes().iterdir()) == []
    assert not list(paths.run_dir().glob("host-*"))
