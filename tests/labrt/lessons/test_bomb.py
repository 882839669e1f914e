"""labrt/lessons/bomb.py: the bomb never starts without a limit, and never passes it."""

from __future__ import annotations

import time

import pytest

import labrt
from labrt import cgroups
from labrt.cgroups import Cgroup
from labrt.lessons import bomb, groups
from labrt.lessons.limited import Refused

pytestmark = pytest.mark.usefixtures("nothing_left")
needs_cgroups = pytest.mark.skipif(
    cgroups.unavailable() is not None, reason=f"{cgroups.unavailable()}"
)


@needs_cgroups
def test_it_fills_its_limit_and_never_passes_it() -> None:
    box = bomb.fork_bomb(10)
    assert isinstance(box, labrt.Container)
    with box:
        deadline = time.monotonic() + 30
        while groups.of(box).read("pids.events").split()[1] == "0":
            assert time.monotonic() < deadline, "nobody was refused"
            time.sleep(0.05)
        assert box.usage().pids_max == 10
        assert (box.usage().pids_peak or 0) <= 10
        assert box.wait(0) is None


@pytest.mark.parametrize("limit", [2, bomb.MOST + 1, -1])
def test_a_limit_that_is_none_is_refused(limit: int) -> None:
    with pytest.raises(labrt.LabError, match="write a number from 3 to 200"):
        bomb.fork_bomb(limit)


def test_where_no_limit_can_be_set_nothing_starts(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(cgroups, "refusal", lambda limits: "no limits here")
    assert isinstance(bomb.fork_bomb(10), Refused)
    assert "no limits here" in capsys.readouterr().err


@needs_cgroups
def test_it_does_not_go_off_where_the_kernel_holds_another_limit(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    read = Cgroup.read
    another = {"pids.max": "max\n"}
    monkeypatch.setattr(Cgroup, "read", lambda self, file: another.get(file) or read(self, file))
    with pytest.raises(labrt.LabError, match="its pids.max is max, not 10"):
        bomb.fork_bomb(10)
