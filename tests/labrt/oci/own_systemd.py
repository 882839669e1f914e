"""A systemd of one's own: process 1 of a pid namespace, with a part of the cgroups to itself."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from labrt.cgroup_layout import layout

NAME = "labrt-test-systemd"
START_SECONDS = 120.0
# Process 1 there. A cgroup namespace's root is the cgroup that it is made in; of one file system
# there is one mount at one place, so the one that shows all goes first.
BEGIN = """
echo $$ >/sys/fs/cgroup/{name}/cgroup.procs
exec unshare --cgroup --mount --pid --fork --kill-child --mount-proc sh -c '
umount /sys/fs/cgroup && mount -t cgroup2 none /sys/fs/cgroup &&
mkdir -p /run/systemd &&
mount -t tmpfs none /run/systemd &&
exec env container=lab SYSTEMD_UNIT_PATH={units} \\
    /lib/systemd/systemd --unit=test.target --log-target=console --log-level=notice'
"""
ENTER = """
echo $$ >/sys/fs/cgroup/{name}/init.scope/cgroup.procs
exec nsenter --target={pid} --cgroup --mount --pid -- "$@"
"""


def unavailable() -> str | None:
    """Return why none can be started here, None if one can."""
    if os.geteuid() != 0:
        return "a systemd of one's own takes root"
    if layout().kind != "v2":
        return f"a systemd of one's own takes pure cgroup v2, and this host's is {layout().kind}"
    return None if Path("/lib/systemd/systemd").exists() else "no systemd: apt-get install systemd"


@contextmanager
def running(folder: Path) -> Iterator[list[str]]:
    """Start it for the time of the block; give the words that begin a command that runs in it."""
    group = Path("/sys/fs/cgroup", NAME)
    offered = (group.parent / "cgroup.controllers").read_text().split()
    (group.parent / "cgroup.subtree_control").write_text(" ".join(f"+{each}" for each in offered))
    group.mkdir()
    (folder / "test.target").write_text("[Unit]\nDefaultDependencies=no\n")
    begin = BEGIN.format(name=NAME, units=folder)
    with open(folder / "console", "wb") as console:
        process = subprocess.Popen(["sh", "-c", begin], stdout=console, stderr=console)
    try:
        first = _first(process, group, folder / "console")
        # Who waits for it leaves: no cgroup has both processes and controllers for those below.
        (group.parent / "cgroup.procs").write_text(str(process.pid))
        yield ["sh", "-c", ENTER.format(name=NAME, pid=first), "enter"]
    finally:
        process.send_signal(signal.SIGKILL)
        process.wait()
        _remove(group)


def _first(process: subprocess.Popen[bytes], group: Path, console: Path) -> int:
    """Return the host pid of process 1 there, once it serves."""
    children = Path(f"/proc/{process.pid}/task/{process.pid}/children")
    deadline = time.monotonic() + START_SECONDS
    while process.poll() is None and time.monotonic() < deadline:
        found = children.read_text().split()
        serves = found and Path(f"/proc/{found[0]}/root/run/systemd/private").exists()
        if serves and (group / "init.scope").exists():
            return int(found[0])
        time.sleep(0.1)
    raise AssertionError(f"systemd doesn't serve: {console.read_text(errors='replace')}")


def _remove(group: Path) -> None:
    deadline = time.monotonic() + 10
    while "populated 1" in (group / "cgroup.events").read_text() and time.monotonic() < deadline:
        time.sleep(0.05)
    for folder, _, _ in os.walk(group, topdown=False):
        os.rmdir(folder)
