"""labrt/lessons/cgroup_names.py: one cgroup, two names."""

from __future__ import annotations

import os

import pytest

import labrt
from labrt import cgroups
from labrt.lessons.cgroup_names import cgroup_picture, from_here, from_inside

pytestmark = pytest.mark.usefixtures("nothing_left")


def test_a_container_is_at_the_top_of_what_it_can_name() -> None:
    with labrt.run("busybox", ["sleep", "600"]) as box:
        assert set(from_inside(box).values()) == {"/"}
        assert from_inside(box).keys() == from_here(box).keys()
        if box.cgroup is not None:
            assert f"/{box.cgroup.name}" in from_here(box).values()
    assert from_here(box) == from_inside(box) == {}


@pytest.mark.skipif(bool(cgroups.unavailable()), reason="this user may make no cgroups")
def test_moved_out_of_its_root_it_reads_names_from_there() -> None:
    with labrt.run("busybox", ["sleep", "600"]) as box:
        assert box.cgroup is not None
        other = cgroups.Cgroup.create(f"{cgroups.top()}/other")
        try:
            other.add(box.pid)
            assert "/../other" in from_inside(box).values()
        finally:
            box.cgroup.add(box.pid)
            other.remove()


def test_the_picture_hangs_a_process_below_its_cgroup() -> None:
    here = from_here(os.getpid())
    with labrt.run("busybox", ["sleep", "600"]) as box:
        shown = cgroup_picture(os.getpid(), box)
        names = {**here, **from_here(box)}
    assert all(name in shown.text for name in names.values())
    assert f'-->|"holds"| p{box.pid}' in shown.markdown
    assert "<br/>reads /" in shown.markdown
