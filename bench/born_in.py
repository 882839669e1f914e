"""Have a process born in a cgroup that somebody else forks for us.

A child begins in its parent's cgroup (cgroups(7)), and memory stays charged to the cgroup where it
was first touched. libvirt forks QEMU inside this process, so this process moves itself into the
instance's cgroup for the length of that call, one call at a time. Host side.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager

from labrt.cgroups import Cgroup, own_folders


@contextmanager
def born_in(cgroup: Cgroup | None) -> Iterator[None]:
    """Be in `cgroup`, with all threads, while the block runs; None changes nothing.

    Raises:
        OSError: the kernel refused a move; this process is then back where it was.
    """
    if cgroup is None:
        yield
        return
    with _alone:
        home = own_folders()
        try:
            cgroup.add(os.getpid())
            yield
        finally:
            for folder in home:
                (folder / "cgroup.procs").write_text(str(os.getpid()))


_alone = threading.Lock()  # the whole process moves
