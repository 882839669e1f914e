"""vagrant/provision.sh, run again and again in a root file system, a copy of this host's. Nothing
runs in it yet, as when a box is built (--building).

What the copy doesn't do is pip's work: its .venv is the one of these tests. All of it, with systemd
running, is done in the lab machine (test_vagrant_up.py).
"""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator

import pytest

from tests.vagrant.host_copy import Copy, copied

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="needs root, as provisioning does")

# Each file and folder, with all that tells a change but the time of chmod(2).
LIST = "find . -xdev -printf '%P %y %m %U %G %s %T@ %l\\n' | sort"


def written(copy: Copy) -> list[str]:
    """Return all that was written so far, a line each."""
    inside = ["nsenter", f"--target={copy.pid}", "--mount", f"--wd={copy.seen(copy.written)}"]
    done = subprocess.run([*inside, "sh", "-c", LIST], capture_output=True, text=True, check=True)
    return done.stdout.splitlines()


@pytest.fixture(scope="module")
def copy() -> Iterator[Copy]:
    with copied() as copy:
        yield copy


@pytest.fixture(scope="module")
def first(copy: Copy) -> list[str]:
    """What the first run has said."""
    return copy.provision()


def test_the_first_run_makes_the_lab_machine(first: list[str]) -> None:
    assert "lab: made the user student" in first
    assert "lab: wrote /etc/systemd/user/lab-jupyter.service" in first
    assert "lab: gave student a LAB_HOME" in first
    assert "lab: switched on lab-door.socket" in first


def test_the_second_run_changes_nothing(copy: Copy, first: list[str]) -> None:
    before = written(copy)
    assert any("home/student/work" in line for line in before)
    said = ["lab: everything is set up, nothing to do", "lab: nothing to change"]
    assert copy.provision() == said
    assert written(copy) == before


def test_what_was_changed_by_hand_is_mended_and_nothing_else(copy: Copy, first: list[str]) -> None:
    unit = "/etc/systemd/user/lab-jupyter.service"
    copy.run(f"echo '# mine' >>{unit}")
    assert f"lab: wrote {unit}" in copy.provision()
    assert copy.provision()[-1] == "lab: nothing to change"


def test_what_the_student_made_is_not_touched(copy: Copy, first: list[str]) -> None:
    copy.run("echo mine >/home/student/work/02_uts.ipynb")
    copy.provision()
    assert copy.run("cat /home/student/work/02_uts.ipynb") == "mine\n"
