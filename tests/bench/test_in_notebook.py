"""bench/in_notebook.py: machines that stay until the notebook's last cell, and small runs."""

from __future__ import annotations

from collections.abc import Callable

import pytest

import labrt
from bench import in_notebook
from bench.observations import Observation
from labrt import limits
from labrt.errors import LabError
from labrt.images import registry, store
from labrt.lessons import observe
from tests.bench.conftest import needs_cgroups
from tests.labrt.images.conftest import needs_registry

pytestmark = pytest.mark.timeout(300)


def test_a_machine_stays_until_the_last_cell() -> None:
    machine = in_notebook.start("200m", cpus=2)
    (pid,) = machine.pids()
    assert "<vcpu>2</vcpu>" in machine.xml
    assert limits.size("200m") in machine.xml
    told = in_notebook.phases(machine)
    assert "T0 to T1" in told.text
    assert "lab:ready" in told.markdown
    assert "virtual machines ended: 1" in labrt.clean_up().text
    assert observe.name(pid) == ""
    assert in_notebook.end() == 0


def test_one_that_cannot_start_is_told_in_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    assert in_notebook.try_start("1k") is None
    assert capsys.readouterr().out.count("\n") == 1
    labrt.clean_up()


def test_one_that_hangs_is_ended_and_another_started_and_both_are_told(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(in_notebook, "DEADLINE", 0.01)
    assert in_notebook.try_start("128m") is None
    first, last = capsys.readouterr().out.splitlines()
    assert "0.01 s passed before the mark lab:ready" in first
    assert first.endswith("once more")
    assert "0.01 s passed before the mark lab:ready" in last
    assert "virtual machines ended: 0" in labrt.clean_up().text


def test_a_run_in_which_none_was_ready_in_time_is_done_once_more(
    row: Callable[..., Observation],
) -> None:
    hung = row(None, reason="30 s passed before the mark lab:ready; it said nothing")
    assert in_notebook._hung([hung]).startswith("labrt, startup: 30 s passed")
    assert in_notebook._hung([hung, row(0.1)]) == ""
    assert in_notebook._hung([row(None, reason="no cgroup")]) == ""


@needs_cgroups
@pytest.mark.usefixtures("workload")
def test_a_small_run_gives_the_rows_of_all_trials() -> None:
    found = in_notebook.measure(["process", "labrt"], ["startup", "stop"], n=2)
    kept = found.frame[~found.frame.warmup]
    assert (kept.status == "ok").all()
    assert kept.groupby(["subject", "experiment"])["sample"].nunique().eq(2).all()
    assert len(found.rows) == len(found.frame)
    assert list(found.medians("stop").index) == ["labrt", "process"]
    assert len(found.of("labrt", "startup", "T0-T3")) == 2


def test_a_subject_that_is_none_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(LabError, match="nosuch"):
        in_notebook.measure(["nosuch"], ["startup"])
    assert in_notebook.try_measure("nosuch", experiments=["startup"]) is None
    assert "nosuch" in capsys.readouterr().out


def test_a_container_and_a_machine_are_weighed_side_by_side() -> None:
    machine = in_notebook.start("128m")
    with labrt.run("busybox", ["sleep", "600"]) as box:
        told = in_notebook.side_by_side(box, machine)
        assert observe.weight(box) < observe.weight(*machine.pids())
    assert "of that, guest RAM" in told.text
    labrt.clean_up()


@needs_registry
@pytest.mark.usefixtures("workload")
def test_an_image_goes_by_a_registry_to_another_computer() -> None:
    serving = in_notebook.try_registry()
    assert serving is not None
    name = f"{serving.address}/course/busybox:1"
    image = registry.push(store.resolve("busybox"), name)
    assert "no such image" in in_notebook.elsewhere("run", "--rm", name, "true")
    assert image.digest in in_notebook.elsewhere("pull", "--quiet", name)
    assert in_notebook.elsewhere("run", "--rm", name, "echo", "there") == "there"
    folder = serving.folder
    told = labrt.clean_up().text
    assert "registries ended: 1" in " ".join(told.split())
    assert "homes elsewhere removed: 1" in " ".join(told.split())
    assert not folder.exists()


def test_without_a_registry_it_is_told_what_is_missing(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    assert in_notebook.try_registry() is None
    assert "apt-get install docker-registry" in capsys.readouterr().out


def test_verdicts_are_drawn_of_what_the_rows_can_decide() -> None:
    rows = startup_rows("labrt", "container", 0.01) + startup_rows("vm", "vm", 1.0)
    assert in_notebook.verdict(rows, "C23").verdict == "holds"
    assert in_notebook.verdict(rows, "C04").verdict == "not measured"
    told = in_notebook.verdicts(rows)
    assert "C23" in told.text
    assert "C04" not in told.text


def startup_rows(subject: str, kind: str, seconds: float) -> list[Observation]:
    like = {"digest": "sha256:x", "cpus": 1.0, "memory": 1, "workload": "ready", "host": "h"}
    conditions = like | {"kind": kind, "title": subject, "accelerator": "kvm"}
    return [
        Observation(
            *("run", subject, "startup", n, "T0-T3", "time", "s"),
            value=seconds + n / 1000,
            conditions=conditions,
        )
        for n in range(6)
    ]
