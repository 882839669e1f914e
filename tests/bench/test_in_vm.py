"""bench/in_vm.py: one command in a VM of its own, of the same image as a container."""

from __future__ import annotations

import os

import pytest

import labrt
from bench import in_vm, qemu
from bench.qemu import Machine
from labrt.errors import LabError
from labrt.images import base


@pytest.mark.timeout(200)
def test_a_command_runs_under_a_kernel_of_its_own_and_is_gone() -> None:
    base.ensure("busybox")
    command = ["sh", "-c", "echo $((6 * 7)); uname -r; echo the end"]
    answer, release, end = in_vm.output("busybox", command).splitlines()
    assert (answer, end) == ("42", "the end")
    assert release != os.uname().release
    assert labrt.output("busybox", command[:2] + ["uname -r"]).strip() == os.uname().release


@pytest.mark.timeout(200)
def test_one_that_does_not_end_is_told_after_the_deadline() -> None:
    base.ensure("busybox")
    with pytest.raises(LabError, match="run sleep 600 in a VM"):
        in_vm.output("busybox", ["sleep", "600"], deadline=4)


@pytest.mark.parametrize("word", ['say "hello"', "two\nlines", "größer"])
def test_what_the_command_line_cannot_carry_is_refused_by_name(word: str) -> None:
    nowhere = labrt.paths.home()
    machine = Machine("x", nowhere, nowhere, nowhere, nowhere, 1, 1, "tcg", command=(word,))
    with pytest.raises(LabError, match="hand"):
        qemu.command_line(machine.setup, machine.command)
