"""labrt/init.py: a first process that reaps, hands signals on and ends as the program does."""

from __future__ import annotations

import signal
import time
from dataclasses import replace
from pathlib import Path

import pytest

import labrt
from labrt import state
from labrt.client import Container
from labrt.errors import LabError

pytestmark = pytest.mark.usefixtures("nothing_left")

# A program that leaves an orphan behind and never asks after it.
CARELESS = ["sh", "-c", "(sleep 0.1 &); exec sleep 60"]


def zombies(box: Container) -> list[str]:
    """Return the names of the children of process 1 that have ended and nobody has reaped."""
    pids = Path(f"/proc/{box.pid}/task/{box.pid}/children").read_text().split()
    found = [Path(f"/proc/{pid}/stat").read_text() for pid in pids]
    return [stat.partition("(")[2].partition(")")[0] for stat in found if ") Z " in stat]


@pytest.mark.parametrize(("init", "left"), [(False, 1), (True, 0)])
def test_it_reaps_the_orphans_that_a_careless_program_leaves(init: bool, left: int) -> None:
    with labrt.run("busybox", CARELESS, init=init) as box:
        time.sleep(0.5)
        assert len(zombies(box)) == left


@pytest.mark.parametrize(("program", "status"), [("exit 3", 3), ("kill -9 $$", 128 + 9)])
def test_it_ends_as_the_program_does(program: str, status: int) -> None:
    with labrt.run("busybox", ["sh", "-c", program], init=True) as box:
        assert box.wait(10) == status


def test_it_hands_signals_on(tmp_path: Path) -> None:
    script = "trap 'exit 7' TERM; echo ready; while :; do sleep 0.05; done"
    said = tmp_path / "said"
    with (
        said.open("w") as file,
        labrt.run("busybox", ["sh", "-c", script], init=True, stdout=file.fileno()) as box,
    ):
        while said.read_text() != "ready\n":
            time.sleep(0.01)
        box.signal(signal.SIGTERM)
        assert box.wait(10) == 7


def test_it_shows_nothing_of_the_hosts_paths() -> None:
    shown = labrt.output("busybox", ["sh", "-c", "cat /proc/1/comm /proc/1/cmdline"], init=True)
    assert shown.replace("\0", "") == "init\ninit"


def test_who_comes_while_the_program_ends_is_told_so() -> None:
    """Between the program's end and its own, init has no child that others could enter by."""
    ended = pytest.raises(LabError, match="its program has ended")
    with labrt.run("busybox", ["sleep", "60"]) as box, ended:  # it stands for an init alone
        state.open_pid(replace(box.spec, init=True), box.status)
