"""bench/tiny_guest.py: one page of code as a virtual machine, by QEMU and by the KVM API."""

from __future__ import annotations

from pathlib import Path

import pytest

from bench import tiny_guest
from labrt.errors import LabError
from tests.v2 import guest

ROOT = Path(__file__).parent.parent.parent


def test_the_guest_prints_its_line_and_ends() -> None:
    how, printed = tiny_guest.run("hello")
    assert how.startswith(("QEMU", "the KVM API"))
    assert printed == "hello\n"


def test_under_qemu() -> None:
    assert tiny_guest.under_qemu(tiny_guest.program("hello")) == "hello\n"


@pytest.mark.parametrize("line", ["x" * 500, "größer"])
def test_a_line_that_a_boot_sector_cannot_hold_is_refused(line: str) -> None:
    with pytest.raises(LabError, match="put the line into a boot sector"):
        tiny_guest.program(line)


ASK = """
import sys
sys.path.insert(0, sys.argv[1])
from bench import tiny_guest
print(tiny_guest.under_kvm(tiny_guest.program("hello")))
"""


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_under_kvm_in_a_guest_whose_processor_is_emulated_with_svm(tmp_path: Path) -> None:
    """So the KVM API is called on every host, also where it doesn't serve."""
    if reason := guest.unavailable():
        pytest.skip(reason)
    python = f"{tmp_path}/venv/bin/python"
    (tmp_path / "ask.py").write_text(ASK)
    command = ["sh", "-c", f"modprobe kvm_amd && exec {python} {tmp_path}/ask.py {ROOT}"]
    done = guest.run(command, tmp_path, 250, processor="max,+svm,+npt")
    assert (done.status, done.output) == (0, "hello\n\n"), done.console
