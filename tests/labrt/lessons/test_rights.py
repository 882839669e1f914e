"""labrt/lessons/rights.py: what a process may ask for, as the kernel says."""

from __future__ import annotations

import os

import pytest

import labrt
from labrt.lessons.rights import capabilities, filters, no_new_privileges, rights_picture

pytestmark = pytest.mark.usefixtures("nothing_left")


def test_a_containers_capabilities_are_the_declared_ones() -> None:
    with labrt.run("busybox", ["sleep", "60"], cap_drop=("ALL",), cap_add=("KILL",)) as box:
        assert capabilities(box) == capabilities(box, "CapBnd") == ("CAP_KILL",)
        assert (filters(box), no_new_privileges(box)) == (1, True)
    assert (capabilities(box), filters(box)) == ((), 0)


def test_an_unconfined_one_has_no_filter() -> None:
    with labrt.run("busybox", ["sleep", "60"], security_opt=("seccomp=unconfined",)) as box:
        shown = rights_picture(here=os.getpid(), box=box)
        assert filters(box) == 0
    assert 'box2["no filter"]' in shown.markdown
    assert "box1 -->|" in shown.markdown and "here3 --> kernel" in shown.markdown
