"""The judges of the lesson "layers" can reach each of their answers."""

from __future__ import annotations

import pytest

import labrt
from labrt.lessons.course import layers
from labrt.lessons.lesson import prediction


def test_the_judges_of_layers() -> None:
    judge = prediction("layers-p1").judge
    assert [judge(said=said, written="new") for said in ("old\nnew\n", "old\n")] == ["a", "b"]
    judge = prediction("layers-p2").judge
    assert [judge(grown=grown, file=2000) for grown in (0, 2000)] == ["a", "b"]
    judge = prediction("layers-p3").judge
    answers = ("Linux version 6.1", "libc.so.6: cannot open shared object file", "not found")
    assert [judge(said=said, library="libc.so.6") for said in answers] == ["a", "b", "c"]


@pytest.mark.usefixtures("nothing_left")
def test_what_is_drawn_is_in_the_image_and_can_be_missing_from_a_root() -> None:
    check = layers.LESSON.checks[0]
    everything = " ".join(layers.COMMANDS)
    with labrt.run("busybox", ["sleep", "60"]) as box:
        assert f"{', '.join(layers.COMMANDS)} still there" in check.observe(everything).saw
        with box.exec(["rm", "/bin/tar", "/bin/vi"]) as done:
            done.wait()
        assert check.observe("tar vi").passed
        assert not check.observe("tar sed").passed
