"""A guest in a process of its own leaves nothing, whatever becomes of those who started it."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest

from tests.v2 import guest
from tests.v2.beside import ROOT, Beside

SECONDS = 60.0  # a busy host's QEMU has these to come up, and to be gone
STARTS_ONE = """
import time
from tests.v2.beside import Beside
running = Beside([], 60)
print(running.shared, flush=True)
time.sleep(60)
"""

pytestmark = pytest.mark.skipif(guest.unavailable() is not None, reason=str(guest.unavailable()))


def processes(shared: Path) -> set[str]:
    """Return the programs that were given this folder: virtme-ng's Python, QEMU."""
    return {
        process.info["name"]
        for process in psutil.process_iter(["name", "cmdline"])
        if any(str(shared) in word for word in process.info["cmdline"] or ())
    }


def boots(shared: Path) -> bool:
    """Whether QEMU runs."""
    return any(name.startswith("qemu") for name in processes(shared))


def wait_until(holds: Callable[[], bool]) -> None:
    deadline = time.monotonic() + SECONDS
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_it_is_ended_while_it_boots() -> None:
    with Beside([], SECONDS) as running:
        wait_until(lambda: boots(running.shared))
    assert processes(running.shared) == set()
    assert not running.shared.exists()


def test_it_ends_with_a_pytest_that_is_killed() -> None:
    with subprocess.Popen(
        [sys.executable, "-c", STARTS_ONE], cwd=ROOT, stdout=subprocess.PIPE, text=True
    ) as starter:
        assert starter.stdout is not None
        shared = Path(starter.stdout.readline().strip())
        wait_until(lambda: boots(shared))
        starter.send_signal(signal.SIGKILL)
    wait_until(lambda: not processes(shared) and not shared.exists())
