"""bench/update.py: what travels when one line changes, measured on real images, disks, registry."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from bench import update
from labrt.errors import LabError
from labrt.images import store

pytestmark = pytest.mark.skipif(
    not all(map(shutil.which, ("docker-registry", "rdiff"))),
    reason="no docker-registry or no rdiff; ./lab setup --test installs them",
)


def test_only_the_changed_layer_travels_and_a_disk_travels_in_larger_pieces() -> None:
    before = store.names()
    found = update.measure("busybox")
    assert found["image, pushed"] < 4096 < found["image"]
    for part in ("disk, changed blocks", "disk, delta"):
        assert found["image, pushed"] < found[part] < found["disk"]
    assert store.names() == before
    assert [len(row) for row in update.table("busybox", found).rows] == [4, 4]


def test_blocks_are_compared_in_place(tmp_path: Path) -> None:
    old, new = tmp_path / "old", tmp_path / "new"
    old.write_bytes(bytes(3 * update.BLOCK))
    new.write_bytes(bytes(update.BLOCK) + b"x" + bytes(2 * update.BLOCK))
    assert update.changed_blocks(old, new) == 2  # one that differs, and what is longer


def test_a_base_that_is_not_there_is_told() -> None:
    with pytest.raises(LabError, match="no such image in the store"):
        update.measure("nosuch")
