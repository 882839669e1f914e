"""labrt/lessons/mount_table.py: what the kernel says is mounted, read and drawn."""

from __future__ import annotations

import pytest

import labrt
from labrt.lessons.mount_table import mount_tree, mounted

pytestmark = pytest.mark.usefixtures("nothing_left")


def test_a_containers_mounts_are_read_from_the_host() -> None:
    with labrt.run("busybox", ["sleep", "600"], tmpfs=("/a place",), read_only=True) as box:
        found = {each.point: each for each in mounted(box)}
        assert found["/a place"].kind == "tmpfs"
        assert (found["/"].kind, found["/"].root) == ("overlay", "/")
        assert "upperdir=upper" in found["/"].settings
        assert "ro" in found["/"].options and "rw" in found["/a place"].options
        assert found["/a place"].parent == found["/"].number
    assert mounted(box) == []


def test_the_picture_counts_what_lies_below_the_kernels_own() -> None:
    with labrt.run("busybox", ["sleep", "600"], tmpfs=("/here",)) as box:
        shown = mount_tree(box)
        root, here = (next(m for m in mounted(box) if m.point == at) for at in ("/", "/here"))
        shm = [each for each in mounted(box) if each.point == "/dev/shm"]
    assert f"m{root.number} --> m{here.number}" in shown.markdown
    assert shm and "/dev/shm" not in shown.text
