"""labrt/lessons/live.py: a line for each look, its marks as long as what they stand for."""

from __future__ import annotations

import pytest

import labrt
from labrt import cgroups
from labrt.lessons import groups, live

pytestmark = pytest.mark.usefixtures("nothing_left")


@pytest.mark.parametrize(
    ("parts", "line"),
    [
        ({"█": 0.5}, "█████     "),
        ({"█": 0.2, "░": 0.8}, "██░░░░░░░░"),
        ({"█": 0.6, "░": 3.0}, "██████░░░░"),
        ({"█": -0.1}, "          "),
        ({}, "          "),
    ],
)
def test_a_bar_is_as_long_as_its_share_and_never_longer_than_the_line(
    parts: dict[str, float], line: str
) -> None:
    assert live.bar(parts, 10) == line


@pytest.mark.skipif(cgroups.unavailable() is not None, reason=f"{cgroups.unavailable()}")
@pytest.mark.parametrize("kind", live.CHARTS)
def test_each_kind_draws_a_line_for_each_look_but_the_first(
    kind: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with labrt.run("busybox", ["sleep", "600"]) as box:
        looks = live.watch(box, kind, seconds=0.2, full=1, every=0.1)
    header, *lines = capsys.readouterr().out.splitlines()
    assert live.CHARTS[kind].legend in header
    assert header.endswith(f"a full line is 1 {live.CHARTS[kind].unit}")
    assert len(looks) == 3
    assert len(lines) == 2
    assert all(line.endswith("|") and line.count("|") == 2 for line in lines)


@pytest.mark.skipif(cgroups.unavailable() is not None, reason=f"{cgroups.unavailable()}")
def test_what_is_held_back_is_drawn_beside_what_ran(capsys: pytest.CaptureFixture[str]) -> None:
    busy = ["sh", "-c", "while :; do :; done"]
    with labrt.run("busybox", busy, cpus=0.05) as box:
        looks = live.watch(groups.of(box), "cpu", seconds=1.0, full=1)
    assert (looks[-1].throttled_usec or 0) > (looks[0].throttled_usec or 0)
    assert "░" in capsys.readouterr().out.partition("\n")[2]


@pytest.mark.skipif(cgroups.unavailable() is not None, reason=f"{cgroups.unavailable()}")
def test_a_chart_ends_with_its_container() -> None:
    with labrt.run("busybox", ["sleep", "0.3"]) as box:
        assert len(live.watch(box, "pids", seconds=60, full=1, every=0.1)) < 600
        assert box.wait(10) == 0


def test_who_has_no_cgroup_is_refused() -> None:
    box = labrt.run("busybox", ["true"])
    box.wait()
    with pytest.raises(labrt.LabError):
        live.watch(box, "cpu", seconds=0.1, full=1)
    box.close()
