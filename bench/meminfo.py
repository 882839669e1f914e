"""What the kernel says about memory: of the host, and of some of its processes.

PSS (proportional set size) counts a page shared by n processes as 1/n for each, so it may be summed
over processes; USS (unique set size) counts only pages that nobody else maps. Man pages:
proc_meminfo(5), proc_pid_smaps(5); https://docs.kernel.org/filesystems/proc.html.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class ProcessMemory:
    """Bytes, summed over processes."""

    pss: int
    uss: int
    rss: int


def of_processes(pids: Iterable[int]) -> ProcessMemory:
    """Sum /proc/PID/smaps_rollup over processes.

    Raises:
        OSError: one of them has ended (ENOENT, ESRCH) or may not be read (EACCES).
    """
    total = {"Pss": 0, "Private_Clean": 0, "Private_Dirty": 0, "Rss": 0}
    for pid in pids:
        found = _kibibytes(Path(f"/proc/{pid}/smaps_rollup").read_text())
        for key in total:
            total[key] += found[key]
    uss = total["Private_Clean"] + total["Private_Dirty"]
    return ProcessMemory(pss=total["Pss"], uss=uss, rss=total["Rss"])


def available() -> int:
    """Return the host's MemAvailable in bytes: what can be had without swapping (estimate).

    The kernel keeps counters per processor and adds them up only now and then; root may ask for
    that first (https://docs.kernel.org/admin-guide/sysctl/vm.html, stat_refresh).
    """
    try:
        Path("/proc/sys/vm/stat_refresh").read_text()
    except PermissionError:
        pass  # not root: the number is then some hundred KiB coarser
    return _kibibytes(Path("/proc/meminfo").read_text())["MemAvailable"]


def oom_kills() -> int:
    """Return how many processes this kernel has killed for want of memory, of the host or of a
    cgroup, since it was booted (oom_kill in /proc/vmstat, Linux 4.13); 0 where it doesn't count."""
    lines = Path("/proc/vmstat").read_text().splitlines()
    return sum(int(line.split()[1]) for line in lines if line.startswith("oom_kill "))


def own() -> int:
    """Return this process's resident memory in bytes."""
    return _kibibytes(Path("/proc/self/status").read_text())["VmRSS"]


def own_peak() -> int:
    """Return the most resident memory that this process has had so far, in bytes."""
    return _kibibytes(Path("/proc/self/status").read_text())["VmHWM"]


def total() -> int:
    """Return the host's memory in bytes."""
    return _kibibytes(Path("/proc/meminfo").read_text())["MemTotal"]


def _kibibytes(text: str) -> dict[str, int]:
    """Read lines of the form "Name:  123 kB", as bytes."""
    found = {}
    for line in text.splitlines():
        words = line.split()
        if len(words) == 3 and words[2] == "kB":
            found[words[0].rstrip(":")] = int(words[1]) * 1024
    return found
