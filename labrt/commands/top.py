"""`labrt top CONTAINER`: its processes, as the host sees them."""

from __future__ import annotations

import argparse

import psutil

from labrt.handle import find
from labrt.tables import size, table

HELP = "list a container's processes"
HEADINGS = ("PID", "IN IT", "UID", "THREADS", "CPU S", "MEMORY", "COMMAND")


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("container", metavar="CONTAINER")


def main(options: argparse.Namespace) -> int:
    rows = [row for pid in find(options.container).processes() if (row := _row(pid))]
    print(table(HEADINGS, rows), end="")
    return 0


def _row(pid: int) -> tuple[str, ...] | None:
    """Describe a process; None if it has ended meanwhile."""
    try:
        process = psutil.Process(pid)
        with process.oneshot():
            times = process.cpu_times()
            command = " ".join(process.cmdline()) or f"[{process.name()}]"
            resident, threads = process.memory_info().rss, process.num_threads()
            uid = process.uids().effective
        inside = _pid_inside(pid)
    except (psutil.NoSuchProcess, FileNotFoundError):
        return None
    used = f"{times.user + times.system:.2f}"
    return str(pid), inside, str(uid), str(threads), used, size(resident), command


def _pid_inside(pid: int) -> str:
    """Return its pid in its own pid namespace (NSpid in proc_pid_status(5))."""
    with open(f"/proc/{pid}/status") as file:
        return next(line.split()[-1] for line in file if line.startswith("NSpid:"))
