"""Cold caches: what the kernel can drop of what it has read, dropped.

Gone are the clean pages of files, directory entries and inodes; sync(2) first makes all pages
clean. Still warm: pages that a running program has mapped (this Python, labrt's launcher, an
engine's daemon and their libraries), files in RAM (tmpfs: sockets, a guest's kernel and initramfs
where the run folder is one), the processor's caches, and those of the disk and of a hypervisor
below this host. It is the whole machine that is cold then, and everybody on it is slower for it.

https://docs.kernel.org/admin-guide/sysctl/vm.html, drop_caches.
"""

from __future__ import annotations

import os
from pathlib import Path

DROP = Path("/proc/sys/vm/drop_caches")
ALL = "3"  # 1: the page cache; 2: directory entries and inodes


def unavailable() -> str | None:
    """Return why this user can't drop them, with the remedy, or None if it can."""
    if os.access(DROP, os.W_OK):
        return None
    return f"only root may write {DROP}, and not in most containers; run with sudo"


def drop() -> None:
    """Drop them.

    Raises:
        OSError: the kernel refused.
    """
    os.sync()
    DROP.write_text(ALL)
