"""bench/in_notebook.py: machines that stay until the notebook's last cell, and small runs."""

from __future__ import annotations

import pytest

import labrt
from bench import in_notebook
from labrt import limits
from labrt.errors import LabError
from labrt.lessons import observe
from tests.bench.conftest import needs_cgroups

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


@needs_cgroups
@pytest.mark.usefixtures("workload")
def test_a_small_run_gives_the_rows_of_all_trials() -> None:
    rows = in_notebook.measure(["process", "labrt"], ["startup", "stop"], n=2)
    kept = rows[~rows.warmup]
    assert (kept.status == "ok").all()
    assert kept.groupby(["subject", "experiment"])["sample"].nunique().eq(2).all()


def test_a_subject_that_is_none_is_refused() -> None:
    with pytest.raises(LabError, match="nosuch"):
        in_notebook.measure(["nosuch"], ["startup"])
