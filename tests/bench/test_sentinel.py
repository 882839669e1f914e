"""bench/sentinel.py: a process and a file of the host that go with whoever has set them up."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from pathlib import Path

from bench import sentinel


def test_it_is_there_and_then_it_is_gone(tmp_path: Path) -> None:
    file = tmp_path / "sentinel"
    with sentinel.standing("abc123", file) as pid:
        assert Path(f"/proc/{pid}/comm").read_text() == "sentinel-abc123\n"
        assert file.read_text() == "abc123\n"
    assert not file.exists()
    assert not Path(f"/proc/{pid}").exists()


def test_nothing_stays_of_a_killed_bench(tmp_path: Path) -> None:
    file = tmp_path / "sentinel"
    script = (
        "import sys, time, pathlib, bench.sentinel as s\n"
        "with s.standing('abc123', pathlib.Path(sys.argv[1])) as pid:\n"
        "    print(pid, flush=True)\n"
        "    time.sleep(60)\n"
    )
    with subprocess.Popen([sys.executable, "-c", script, file], stdout=subprocess.PIPE) as bench:
        assert bench.stdout is not None
        pid = int(bench.stdout.readline())
        assert file.exists()
        bench.send_signal(signal.SIGKILL)
    deadline = time.monotonic() + 20
    while file.exists() and time.monotonic() < deadline:
        time.sleep(0.01)
    assert not file.exists()
    assert f"sentinel-{'abc123'}" not in _comm(pid)


def _comm(pid: int) -> str:
    """The name of a process that is more than a corpse which nobody has reaped yet."""
    try:
        status = Path(f"/proc/{pid}/status").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return ""
    return "" if "\nState:\tZ" in status else status
