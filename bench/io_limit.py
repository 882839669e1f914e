"""A limit of an instance's disk I/O: which disk, and how each kind of subject is told.

Containers and processes by io.max (cgroup v2) or blkio.throttle (v1), which name the disk; a VM by
its virtual disk (QEMU's throttling). What is in the page cache already is read at no rate at all.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from labrt import cgroups, paths
from labrt.errors import LabError, errno_text

SYS = Path("/sys/dev/block")


def disk(path: Path) -> str:
    """Return the whole disk that a path lies on, "/dev/sda". The kernel limits no less than that.

    Raises:
        LabError: it lies on none (an overlay, a network, RAM).
    """
    tried = f"limit the I/O on {path}"
    try:
        number = os.stat(path).st_dev
    except OSError as error:
        raise LabError(tried, errno_text(error)) from error
    entry = SYS / f"{os.major(number)}:{os.minor(number)}"
    if not entry.exists():
        raise LabError(
            tried, "it is on no disk of this host", remedy="set LAB_HOME to a folder on a disk"
        )
    folder = entry.resolve()
    return f"/dev/{(folder.parent if (folder / 'partition').exists() else folder).name}"


def refusal() -> str | None:
    """Return why the I/O of what lies in LAB_HOME can't be limited here, or None if it can."""
    if reason := cgroups.refusal({"io.max": ""}):
        return reason
    try:
        disk(paths.home())
    except LabError as error:
        return str(error)
    return None


def options(rate: int | None, *where: Path) -> dict[str, Any]:
    """Return the limit as options of labrt, Docker and Podman: by name, none without a limit.

    Args:
        where: what lies on the disks; default: LAB_HOME.
    """
    if rate is None:
        return {}
    disks = dict.fromkeys(disk(path) for path in where or (paths.home(),))
    named = [f"{each}:{rate}" for each in disks]
    return {"device_read_bps": named, "device_write_bps": named}


def words(rate: int | None, *where: Path) -> list[str]:
    """Return the same as words of a command line."""
    return [
        f"--{name.replace('_', '-')}={each}"
        for name, given in options(rate, *where).items()
        for each in given
    ]


def files(rate: int | None) -> dict[str, str]:
    """Return the same as cgroup v2 files."""
    if rate is None:
        return {}
    number = os.stat(disk(paths.home())).st_rdev
    return {"io.max": f"{os.major(number)}:{os.minor(number)} rbps={rate} wbps={rate}"}
