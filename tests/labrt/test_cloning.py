"""Cloning: who makes a container's first process makes no difference to it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

import labrt
from labrt import launching
from labrt.errors import LabError

ROOT = Path(__file__).parent.parent.parent

pytestmark = pytest.mark.usefixtures("nothing_left")

# All that a program can see of what its start has made. What differs from start to start is cut.
LOOK = """
id; pwd; umask; env | sort; hostname | wc -c
for each in /proc/self/fd/*; do [ -e $each ] && echo $each; done
cut -d' ' -f4- /proc/self/mountinfo | sed 's/labrt[^ ]*//; s/[0-9a-f]*-[0-9a-f]*//g; s/dev=[^,]*//'
grep -v -E '^(Pid|NSpid|NStgid|NSpgid|NSsid|Tgid|PPid|Vm|Rss|voluntary|nonvol|SigQ|Hugetlb)' \
    /proc/self/status
cat /proc/self/limits /proc/self/oom_score_adj; sed 's/.* //' /proc/self/stat
ls -ld / /dev /dev/* /proc/keys /etc/* | sed 's/ [A-Z][a-z][a-z] .* / /'
"""

# A process of its own: the recipe clones, and pytest has threads.
START = """
import sys
from labrt import container, namespaces
from labrt.cloning import OwnCloner
from labrt.declare import declare
from labrt.images import store
from labrt.options import given
from labrt.perform import no_hook

way, network, script = sys.argv[1:]
if way == "cloner":
    namespaces.clone_by(OwnCloner())
hook = (lambda step: None) if way == "python" else no_hook
options = {"network": network, "hostname": "same", "cap_add": ("SYS_NICE",), "rm": True}
options["ulimit"] = ("nofile=99",)
spec = declare(store.resolve("busybox"), ["sh", "-c", script], given(**options))
with container.start(spec, (0, 1, 2), hook) as running:
    running.wait()
assert running.context.program is not None or way == "python"
"""


def seen(way: str, network: str) -> str:
    """Start a container by "python", a "fork" that performs calls, or a "cloner"."""
    done = subprocess.run(
        [sys.executable, "-c", START, way, network, LOOK],
        capture_output=True,
        text=True,
        stdin=subprocess.DEVNULL,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        timeout=60,
    )
    assert done.stderr == ""
    return done.stdout


def test_a_container_is_the_same_whoever_makes_it() -> None:
    by_python = seen("python", "none")
    assert "uid=0(root)" in by_python and "Seccomp:\t2" in by_python
    assert seen("fork", "none") == by_python
    assert seen("cloner", "none") == by_python


@pytest.fixture
def fresh() -> Iterator[launching.LauncherProcess]:
    """A launcher of this test's, whose cloner may come to harm."""
    launching.close_launcher()
    yield launching.launcher()
    launching.close_launcher()


def cloner_of(launcher: launching.LauncherProcess) -> int:
    """Return the pid of its cloner, which the first container has started."""
    labrt.output("busybox", ["true"])
    children = Path(f"/proc/{launcher.pid}/task/{launcher.pid}/children").read_text().split()
    (cloner,) = (pid for pid in children if _name(pid) == "labrt-cloner")
    return int(cloner)


def _name(pid: str) -> str:
    return Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")[0].decode()


def test_a_cloner_ends_with_its_launcher(fresh: launching.LauncherProcess) -> None:
    pidfd = os.pidfd_open(cloner_of(fresh))
    fresh.close()
    assert launching.readable(pidfd, 10)
    os.close(pidfd)


def test_a_cloner_ends_with_a_launcher_that_is_killed(fresh: launching.LauncherProcess) -> None:
    pidfd = os.pidfd_open(cloner_of(fresh))
    os.kill(fresh.pid, signal.SIGKILL)
    assert launching.readable(pidfd, 10)
    os.close(pidfd)


def test_a_cloner_that_was_killed_is_replaced(fresh: launching.LauncherProcess) -> None:
    before = cloner_of(fresh)
    with labrt.run("busybox", ["sleep", "60"]) as running:
        os.kill(before, signal.SIGKILL)
        assert cloner_of(fresh) != before
        assert running.wait(0) is None, "what it made before lives on"


def test_a_cloner_that_is_killed_at_work_is_told(fresh: launching.LauncherProcess) -> None:
    pid = cloner_of(fresh)
    os.kill(pid, signal.SIGSTOP)
    killer = subprocess.Popen(["sh", "-c", f"sleep 0.5; kill -KILL {pid}"])
    with pytest.raises(LabError, match="cloner was killed"):
        labrt.run("busybox", ["true"])
    killer.wait()
    assert cloner_of(fresh) != pid


def test_a_cloner_holds_nothing_of_what_it_was_given(fresh: launching.LauncherProcess) -> None:
    pid = cloner_of(fresh)
    with labrt.run("busybox", ["sleep", "60"]):
        time.sleep(0.05)  # it answers before it closes them
        assert sorted(os.listdir(f"/proc/{pid}/fd")) == ["0", "1", "2", "3"]


def test_what_is_too_large_for_a_message_is_forked() -> None:
    many = tuple(f"/etc:/mnt/{number}:ro" for number in range(100))
    assert len(labrt.output("busybox", ["ls", "/mnt"], volume=many).split()) == 100
    long = "x" * 70_000
    assert len(labrt.output("busybox", ["echo", long, long])) == 140_002
