"""labrt/perform.py: which failure is told where one brings about another.

What fails or dies at each step in turn is in test_faults.py.
"""

from __future__ import annotations

import errno
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent.parent

pytestmark = pytest.mark.usefixtures("nothing_left")

# A process of its own: the recipe clones, and pytest has threads.
START = """
import os, signal, sys
from labrt import container
from labrt.declare import declare
from labrt.errors import LabError
from labrt.images import store
from labrt.users import WriteIdMap

def fail(step):
    if isinstance(step, WriteIdMap):
        if sys.argv[1] == "killed":
            with open(f"/proc/self/task/{os.getpid()}/children") as children:
                os.kill(int(children.read()), signal.SIGKILL)
        raise OSError(13, "refused")

try:
    container.start(declare(store.resolve("busybox"), ["true"]), (0, 1, 2), fail)
except LabError as error:
    print(error)
"""


def told(child: str) -> str:
    command = [sys.executable, "-c", START, child]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(command, capture_output=True, text=True, env=environment, timeout=60)
    assert done.stderr == ""
    return done.stdout


def test_a_refused_step_is_told_as_the_kernels_answer() -> None:
    assert os.strerror(errno.EACCES) in told("alive")


def test_what_is_refused_because_the_child_was_killed_is_not_the_cause() -> None:
    said = told("killed")
    assert "killed before it became the program" in said and "memory" in said
    assert "WriteIdMap" not in said


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may mount")
def test_where_the_disk_is_full_the_remedy_is_room() -> None:
    script = """
import os, subprocess, sys
from labrt import syscalls
syscalls.unshare(syscalls.CLONE_NEWNS)
syscalls.mount(None, "/", None, syscalls.MS_REC | syscalls.MS_PRIVATE)
home = os.environ["LAB_HOME"]
containers = f"{home}/containers"
os.makedirs(containers, exist_ok=True)
syscalls.mount("tmpfs", containers, "tmpfs", 0, "size=4k")
open(f"{containers}/fill", "wb", 0).write(b"x" * 4096)
sys.exit(subprocess.run([sys.executable, "-m", "labrt.cli", "run", "busybox", "true"]).returncode)
"""
    done = subprocess.run(
        [sys.executable, "-c", script],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 125
    assert done.stderr.endswith("ENOSPC: No space left on device. Remedy: free some room\n")
