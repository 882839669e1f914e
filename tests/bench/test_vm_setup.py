"""bench/vm_setup.py: what virtual machines differ in, one thing at a time."""

from __future__ import annotations

from dataclasses import asdict

import pytest

from bench import vm_setup
from bench.subjects.base import Workload
from bench.vm_setup import MICROVM, Setup, one_change_each
from labrt.errors import LabError

WORKLOAD = Workload("busybox", "sha256:" + "ab" * 32)


def test_every_rung_changes_one_thing_of_the_default_but_the_machine_without_acpi() -> None:
    for said, changed in one_change_each(Setup()):
        before, after = asdict(Setup()), asdict(changed)
        differing = [key for key in before if before[key] != after[key]]
        expected = ["machine", "firmware", "acpi"] if changed == MICROVM else differing[:1]
        assert differing == expected != [], said


def test_no_two_rungs_are_the_same() -> None:
    for setup in (Setup(), MICROVM):
        rungs = [changed for _, changed in one_change_each(setup)]
        assert len({*rungs, setup}) == len(rungs) + 1


def test_each_word_that_a_rung_takes_back_is_one_of_the_lab_s() -> None:
    assert set(vm_setup.WORDS.values()) <= set(Setup().command_line.split())


def test_it_gets_what_the_workload_asks_for_or_twice_that() -> None:
    assert Setup().applied(WORKLOAD) == WORKLOAD
    twice = Setup(times_cpus=2, times_memory=2).applied(WORKLOAD)
    assert (twice.cpus, twice.memory) == (2 * WORKLOAD.cpus, 2 * WORKLOAD.memory)


def test_a_microvm_with_two_cpus_is_refused_for_its_kernel_finds_one() -> None:
    assert MICROVM.applied(WORKLOAD) == WORKLOAD
    with pytest.raises(LabError, match="its kernel finds only the first"):
        MICROVM.applied(Workload("busybox", WORKLOAD.digest, cpus=2.0))
