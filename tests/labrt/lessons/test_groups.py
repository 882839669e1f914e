"""labrt/lessons/groups.py, by_hand.py, limited.py: cgroups as lessons show and make them."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

import labrt
from labrt import cgroups, leftovers, usage
from labrt.cgroups import Cgroup
from labrt.lessons import by_hand, groups
from labrt.lessons.limited import Refused, limited

needs_cgroups = pytest.mark.skipif(
    cgroups.unavailable() is not None, reason=f"{cgroups.unavailable()}"
)
pytestmark = pytest.mark.usefixtures("nothing_left")


@pytest.fixture
def hand() -> Iterator[Path]:
    """Where this test makes cgroups with the controller pids."""
    yield by_hand.folder("pids")
    by_hand.remove()


def test_where_the_host_stands_is_told_with_each_controllers_place() -> None:
    told = groups.stands().text
    assert groups.KINDS[cgroups.layout().kind] in told
    for name, path in cgroups.layout().controllers.items():
        assert any(line.split()[0::2] == [name, str(path)] for line in told.splitlines() if line)


def test_a_plain_process_is_in_the_same_cgroups_as_its_parent() -> None:
    with subprocess.Popen(["sleep", "60"]) as child:
        assert groups.memberships(child) == groups.memberships(os.getpid())
        assert "Both are in the same cgroups." in groups.diagram(child).text
        child.kill()
    assert groups.memberships(child) == {}


@needs_cgroups
def test_a_containers_files_have_a_place_and_a_text_on_this_host() -> None:
    with labrt.run("busybox", ["sleep", "600"], pids_limit=7, name="box") as box:
        shown = groups.files(box, "pids.max", "no.such.file")
        (path,) = groups.of(box).paths_of("pids.max")
        line = next(line for line in shown.text.splitlines() if line.startswith("pids.max"))
        assert line.split() == ["pids.max", str(path), "7"]
        assert path.read_text() == "7\n"
        assert groups.NOT_HERE in shown.text
        assert groups.texts("pids.max") == {"box": "7"}
        assert groups.spelled("pids.max", groups.texts("pids.max")) == "pids.max 7 (box)"
        drawn = groups.diagram(box)
        assert f"/{box.id}" in drawn.text
        assert "p0 --> c0x0" in drawn.markdown
        assert "p1 --> c0x1" in drawn.markdown


@needs_cgroups
def test_siblings_are_drawn_below_the_labs_own_with_what_their_files_say() -> None:
    assert groups.siblings("pids.max").text == "No running container has a cgroup."
    with (
        labrt.run("busybox", ["sleep", "600"], pids_limit=7, name="one"),
        labrt.run("busybox", ["sleep", "600"], pids_limit=8, name="two"),
    ):
        shown = groups.siblings("pids.max")
    assert {"one  7", "two  8"} <= {
        " ".join(r.split()).replace(" ", "  ", 1) for r in shown.text.splitlines()
    }
    assert "top --> c1" in shown.markdown
    assert "pids.max: 8" in shown.markdown


@needs_cgroups
def test_pressure_is_told_or_that_this_host_has_none() -> None:
    with labrt.run("busybox", ["sleep", "600"]) as box:
        told = groups.pressure(box).text
        kept = usage.pressure(groups.of(box))
    assert ("keeps no pressure" in told) == (not kept)
    for name in kept:
        assert any(line.split()[:2] == [name, "some"] for line in told.splitlines() if line)


@needs_cgroups
def test_what_is_made_and_written_by_hand_is_told_as_a_shell_would(
    hand: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    one = by_hand.make("one")
    assert by_hand.make("one") == one
    assert by_hand.every() == [one]
    by_hand.echo(one, "cpu.max", "20000 100000")
    assert one.read("cpu.max").strip() == "20000 100000"
    written = capsys.readouterr().out.splitlines()
    files = one.files("cpu.max", "20000 100000")
    assert written == [f"echo {text} > {path}" for path, text in files.items()]


@needs_cgroups
def test_a_cgroup_made_by_hand_is_found_and_removed_with_its_process(hand: Path) -> None:
    (hand / "one").mkdir()
    (hand / "one" / "pids.max").write_text("5")
    with subprocess.Popen(["sleep", "60"]) as process:
        (hand / "one" / "cgroup.procs").write_text(str(process.pid))
        assert by_hand.made("pids") == {"one": hand / "one"}
        assert by_hand.remove() == 1
        assert process.wait(timeout=10) == -9
    assert not hand.exists()
    assert by_hand.remove() == 0


@needs_cgroups
def test_clean_up_refuses_to_end_the_notebook_itself(hand: Path) -> None:
    own = next(own for own in cgroups.own_folders() if own.is_relative_to(hand.parent.parent))
    (hand / "one").mkdir()
    (hand / "one" / "cgroup.procs").write_text(str(os.getpid()))
    try:
        with pytest.raises(labrt.LabError, match="this notebook's own"):
            by_hand.remove()
    finally:
        (own / "cgroup.procs").write_text(str(os.getpid()))


@needs_cgroups
def test_what_a_dead_notebook_made_by_hand_is_collected() -> None:
    with subprocess.Popen(["true"]) as dead:
        pass
    lives = Cgroup.create(f"{cgroups.top()}/{leftovers.BY_HAND}{os.getpid()}")
    orphan = Cgroup.create(f"{cgroups.top()}/{leftovers.BY_HAND}{dead.pid}")
    try:
        assert f"cgroup {orphan.name}" in leftovers.collect()
        assert not orphan.exists()
        assert lives.exists()
    finally:
        lives.remove()
        orphan.remove()


def test_a_refused_limit_is_told_and_stands_in_for_the_container(
    capsys: pytest.CaptureFixture[str],
) -> None:
    box = limited("busybox", ["sleep", "600"], cgroup_conf=("pids.nonsense=1",))
    assert isinstance(box, Refused)
    assert "labrt: limit pids.nonsense" in capsys.readouterr().err
    with pytest.raises(labrt.LabError, match="this host refused its limits"):
        box.usage()
    assert repr(box) == "no container"
    assert not hasattr(box, "_repr_html_")
