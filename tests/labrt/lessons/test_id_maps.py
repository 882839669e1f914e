"""labrt/lessons/id_maps.py: who is who in a user namespace."""

from __future__ import annotations

import os

import pytest

import labrt
from labrt.lessons.id_maps import id_picture, uid_map


@pytest.mark.usefixtures("nothing_left")
def test_a_containers_map_is_the_one_it_was_declared_with() -> None:
    with labrt.run("busybox", ["sleep", "600"]) as box:
        assert tuple(uid_map(box)) == box.spec.uid_mappings
        shown = id_picture(box)
        root = os.stat(f"/proc/{box.pid}").st_uid
    assert str(root) in shown.text
    assert "i0 -->|" in shown.markdown
    assert uid_map(box) == []
