"""The disk that files lie on, and how long a copy takes in a container (io.max limits disks)."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from labrt import client, paths
from labrt.errors import LabError


def disk_of(folder: Path) -> str:
    """Return the disk that a folder's files lie on, "/dev/vda", as --device-write-bps takes it.

    Raises:
        LabError: they don't lie on one disk that the kernel knows by its file system.
    """
    device = os.stat(folder).st_dev
    entry = Path(f"/sys/dev/block/{os.major(device)}:{os.minor(device)}")
    if not entry.exists():
        raise LabError(
            f"find the disk that {folder} lies on",
            "its file system isn't on one disk",
            "it is in memory, on the network or on several disks",
            remedy="set LAB_HOME to a folder on a disk, with ext4 or xfs",
        )
    found = entry.resolve()
    disk = found.parent if (found / "partition").exists() else found
    return f"/dev/{disk.name.replace('!', '/')}"


def lab_disk() -> str:
    """Return the disk that containers write to.

    Raises:
        LabError: as of `disk_of`.
    """
    return disk_of(paths.home())


def seconds(*commands: str, **options: Any) -> list[float]:
    """Run shell commands in a container, one after another; return how long each took, seconds, by
    /proc/uptime (hundredths).

    Args:
        options: as of `labrt.run`.

    Raises:
        LabError: it could not be started, or a command failed.
    """
    clock = "cut -d' ' -f1 /proc/uptime"
    script = f"{clock}; " + "; ".join(f"({each}) >/dev/null 2>&1 && {clock}" for each in commands)
    told = client.output("busybox", ["sh", "-c", script], **options).split()
    if len(told) != len(commands) + 1:
        raise LabError(f"time {'; '.join(commands)}", "one of them failed in the container")
    times = list(map(float, told))
    return [round(after - before, 2) for before, after in zip(times, times[1:], strict=False)]
