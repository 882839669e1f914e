"""labrt/lessons/layer_stack.py: what an overlay is made of."""

from __future__ import annotations

import pytest

import labrt
from labrt.lessons.layer_stack import contents, layer_picture, root_stack, stack
from labrt.lessons.mount_table import Mounted


def overlay(*settings: str) -> Mounted:
    return Mounted(1, 0, "0:1", "/", "/", ("rw",), "overlay", settings)


def test_both_spellings_of_lower_folders_are_read() -> None:
    old = stack(overlay("rw", "lowerdir=a:b", "upperdir=u", "workdir=w"))
    new = stack(overlay("rw", "lowerdir+=a", "lowerdir+=b", "upperdir=u"))
    assert old == new
    assert (old.lower, old.upper) == (("a", "b"), "u")
    assert stack(overlay("ro", "lowerdir=a:b")).upper == ""


@pytest.mark.usefixtures("nothing_left")
def test_changes_are_in_the_upper_folder_and_the_image_is_shared() -> None:
    with (
        labrt.run("busybox", ["sleep", "60"]) as one,
        labrt.run("busybox", ["sleep", "60"]) as two,
    ):
        with one.exec(["sh", "-c", "echo 123 > /new; rm /bin/cal"]) as done:
            done.wait()
        its, other = root_stack(one.pid, one.folder), root_stack(two.pid, two.folder)
        assert its and other and its.lower == other.lower == one.spec.root.layers
        found = [line.split() for line in contents(its.upper).splitlines()]
        assert found == [["file", "4", "new"], ["whiteout", "0", "bin/cal"]]
        assert contents(other.upper) == ""
        shown = layer_picture(one=one, two=two).markdown
    assert "oneu --> l0" in shown and "twou --> l0" in shown and "l1" not in shown
    assert root_stack(one.pid, one.folder) is None
