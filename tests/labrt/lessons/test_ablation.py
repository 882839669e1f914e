"""labrt/lessons/ablation.py: each step left out alone, told as the kernel shows it."""

from __future__ import annotations

import pytest

import labrt
from labrt.errors import LabError
from labrt.lessons import ablation

pytestmark = pytest.mark.usefixtures("nothing_left")


def test_each_step_is_refused_by_the_lab_or_by_the_kernel_or_runs() -> None:
    trials = {trial.step: trial for trial in ablation.ablate()}
    assert list(trials) == [step.name for step in ablation.steps()]
    for step in ablation.steps():
        assert (trials[step.name].outcome == "vital") == bool(step.vital)
    assert trials["MountOverlay"].failed == "PivotRoot"
    assert trials["LoadSeccomp"].said == "seccomp: filter → none"
    told = ablation.shown(list(trials.values()))
    for name in trials:
        assert name in told.text
        assert name in told.pictures[0][0]


def test_without_no_new_privs_the_kernel_takes_no_filter() -> None:
    trial = ablation.leave_out("SetNoNewPrivileges")
    assert (trial.outcome, trial.failed) == ("refused", "LoadSeccomp")
    assert trial.said.startswith("EACCES")
    assert ablation.leave_out("SetNoNewPrivileges", "LoadSeccomp").outcome == "runs"


def test_a_step_that_is_none_is_an_error() -> None:
    with pytest.raises(LabError, match="no such step"):
        ablation.leave_out("nosuch")


def test_two_whole_containers_are_alike_whatever_they_are_called() -> None:
    with (
        labrt.run("busybox", ["sleep", "600"], hostname="one") as one,
        labrt.run("busybox", ["sleep", "600"], hostname="two") as two,
    ):
        assert ablation.traits(one) == ablation.traits(two)


def test_every_case_can_be_told_from_the_whole_and_from_every_other_one() -> None:
    seen = []
    for number in range(700, 700 + len(ablation.CASES)):
        with (
            ablation.start_case(str(number)) as case,
            labrt.run("busybox", ["sleep", "600"]) as whole,
        ):
            assert ablation.lacking(ablation.traits(whole), ablation.traits(case)) != (
                ablation.NOTHING
            ), ablation.case_step(str(number))
            seen.append(ablation.traits(case))
    assert all(seen.count(one) == 1 for one in seen)


def test_what_has_changed_is_told_shortly() -> None:
    whole = {"seccomp": "filter", "caps": "A B C D E", "mount /a": "ro", "groups": ""}
    less = {"seccomp": "none", "caps": "A B", "groups": "5"}
    said = "seccomp: filter → none; caps: 3 fewer; groups: none → 5; not mounted: /a"
    assert ablation.lacking(whole, less) == said
    assert ablation.lacking(whole, whole) == ablation.NOTHING
