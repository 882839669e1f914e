"""labrt/lessons/disks.py: which disk a folder lies on, and how long commands take."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

import labrt
from labrt.lessons import disks

pytestmark = pytest.mark.usefixtures("nothing_left")


def test_a_folder_lies_on_a_block_device_or_the_remedy_is_told(tmp_path: Path) -> None:
    device = os.stat(tmp_path).st_dev
    if Path(f"/sys/dev/block/{os.major(device)}:{os.minor(device)}").exists():
        assert stat.S_ISBLK(os.stat(disks.disk_of(tmp_path)).st_mode)
    else:
        with pytest.raises(labrt.LabError, match="set LAB_HOME to a folder on a disk"):
            disks.disk_of(tmp_path)


def test_what_lies_in_memory_is_on_no_disk() -> None:
    with pytest.raises(labrt.LabError, match="isn't on one disk"):
        disks.disk_of(Path("/proc"))


def test_each_command_is_timed_by_itself() -> None:
    slept, nothing = disks.seconds("sleep 0.3", "true")
    assert slept >= 0.28  # the clock has hundredths
    assert 0 <= nothing < slept


def test_a_command_that_fails_is_told() -> None:
    with pytest.raises(labrt.LabError, match="one of them failed"):
        disks.seconds("true", "false")
