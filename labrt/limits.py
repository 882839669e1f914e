"""Limits as users of Docker write them ("256m", 1.5 CPUs), turned into cgroup v2's own.

https://docs.kernel.org/admin-guide/cgroup-v2.html

Lesson: notebooks 11 to 15.
"""

from __future__ import annotations

import math
import os
import re
import stat
from collections.abc import Mapping
from pathlib import Path

from labrt.errors import LabError, errno_text
from labrt.options import Options

_SIZE = r"(\d+)([bkmg]?)"
_UNITS = {"": 1, "b": 1, "k": 1024, "m": 1024**2, "g": 1024**3}
_LARGEST = 2**63 - 1
CPU_PERIOD = 100_000  # microseconds, the kernel's default (cgroup-v2.rst, cpu.max)
UNLIMITED = "-1"


def resources(options: Options, now: Mapping[str, str] | None = None) -> dict[str, str]:
    """Return cgroup v2 file → value for every limit that was asked for.

    Args:
        now: the limits that hold already, where a running container is to get others.

    Raises:
        LabError: a value that is none, or one that can't be on this host.
    """
    asked = {
        file: convert(text)
        for file, convert, text in (
            ("memory.max", size, options.memory),
            ("memory.low", size, options.memory_reservation),
            ("cpu.max", cpu_max, options.cpus),
            ("cpu.weight", cpu_weight, options.cpu_shares),
            ("cpuset.cpus", cpuset_cpus, options.cpuset_cpus),
            ("cpuset.mems", cpuset_mems, options.cpuset_mems),
            ("pids.max", pids_max, options.pids_limit),
            ("io.weight", io_weight, options.blkio_weight),
        )
        if text is not None
    }
    if options.memory_swap is not None:
        memory = {**(now or {}), **asked}.get("memory.max", "")
        asked["memory.swap.max"] = swap_max(options.memory_swap, memory)
    if devices := io_max(options):
        asked["io.max"] = devices
    return asked | dict(map(_conf, options.cgroup_conf))


def size(text: str, what: str = "the memory limit") -> str:
    """Return the bytes of a size as Docker spells it: "256m", "1g", "1048576".

    Raises:
        LabError: not such a size.
    """
    match = re.fullmatch(_SIZE, text, re.IGNORECASE)
    number = int(match[1]) * _UNITS[match[2].lower()] if match else 0
    if not 0 < number <= _LARGEST:
        raise LabError(f"set {what} to {text!r}", "not a size", remedy="write 256m or 1g")
    return str(number)


def swap_max(text: str, memory: str) -> str:
    """Return memory.swap.max for Docker's --memory-swap, which counts memory and swap together.

    Args:
        memory: memory.max in bytes, or "" where memory isn't limited.

    Raises:
        LabError: no size, less than the memory limit, or no memory limit to count from.
    """
    if text == UNLIMITED:
        return "max"
    total = int(size(text, "the limit of memory and swap"))
    if not memory.isdecimal():
        raise LabError(
            f"set the limit of memory and swap to {text!r}",
            "memory alone has no limit",
            remedy="give --memory, too",
        )
    if total < int(memory):
        raise LabError(
            f"set the limit of memory and swap to {text!r}",
            f"less than the memory limit, {memory} bytes",
            remedy="it counts both: give more, or -1 for no limit of swap",
        )
    return str(total - int(memory))


def cpu_max(text: str) -> str:
    """Return cpu.max for a number of CPUs: "1.5" → "150000 100000".

    Raises:
        LabError: not a positive number, or below the kernel's least quota of 1 ms.
    """
    try:
        quota = round(float(text) * CPU_PERIOD)
    except (ValueError, OverflowError):
        quota = 0
    if quota < 1000:
        raise LabError(
            f"set the CPU limit to {text!r}",
            "not a number of 0.01 or more",
            remedy="write 0.5 or 1",
        )
    return f"{quota} {CPU_PERIOD}"


def cpu_weight(text: str) -> str:
    """Return cpu.weight for v1's shares: "1024" → "100", both the default of their scale.

    The formula is that of runc 1.3.2 and crun 1.23 (crun.1.md, "cgroup v2"): a parabola in log2
    through (2, 1), (1024, 100) and (262144, 10000). The straight line of older engines made 39 of
    the default.

    Raises:
        LabError: not a whole number from 2 to 262144.
    """
    log = math.log2(_whole(text, "the CPU shares", 2, 262144))
    return str(math.ceil(10 ** ((log * log + 125 * log - 126) / 612)))


def pids_max(text: str) -> str:
    """Return pids.max for a number of processes, -1 for any number.

    Raises:
        LabError: not a positive whole number.
    """
    if text == UNLIMITED:
        return "max"
    return str(_whole(text, "the limit of processes", 1, 4194304))  # PID_MAX_LIMIT, proc_pid_max(5)


def io_weight(text: str) -> str:
    """Return io.weight for Docker's --blkio-weight. Both scales have 100 in the middle.

    Raises:
        LabError: not a whole number from 10 to 1000.
    """
    return str(_whole(text, "the weight of block I/O", 10, 1000))


def _whole(text: str, what: str, low: int, high: int) -> int:
    if not text.isdecimal() or not low <= int(text) <= high:
        raise LabError(f"set {what} to {text!r}", f"not a whole number from {low} to {high}")
    return int(text)


def cpuset_cpus(text: str) -> str:
    """Return cpuset.cpus, checked against the CPUs of this host.

    Raises:
        LabError: not a list as cpuset(7) has them, or a CPU that isn't there.
    """
    return _listed(text, "CPUs", Path("/sys/devices/system/cpu/online"))


def cpuset_mems(text: str) -> str:
    """Return cpuset.mems, checked against the memory nodes of this host.

    Raises:
        LabError: not a list as cpuset(7) has them, or a node that isn't there.
    """
    return _listed(text, "memory nodes", Path("/sys/devices/system/node/online"))


def _listed(text: str, what: str, online: Path) -> str:
    here = online.read_text().strip() if online.exists() else "0"  # a kernel without NUMA
    if not re.fullmatch(r"\d+(-\d+)?(,\d+(-\d+)?)*", text, re.ASCII):
        raise LabError(f"use the {what} {text!r}", "not a list", remedy="write 0-1 or 0,2")
    known = members(here)
    if not all(part and all(number in known for number in part) for part in _ranges(text)):
        raise LabError(f"use the {what} {text!r}", f"this host has {here}")
    return text


def members(text: str) -> set[int]:
    """Return the numbers of a list of cpuset(7)."""
    return {number for part in _ranges(text) for number in part}


def _ranges(text: str) -> list[range]:
    """Return the ranges of a list of cpuset(7): "0-2,7"."""
    ends = [part.partition("-") for part in text.split(",")]
    return [range(int(first), int(last or first) + 1) for first, _, last in ends]


def io_max(options: Options) -> str:
    """Return io.max for the four device options: a line for each device.

    Raises:
        LabError: not DEVICE:RATE, or no block device that can be limited.
    """
    lines: dict[str, str] = {}
    for key, asked in (
        ("rbps", options.device_read_bps),
        ("wbps", options.device_write_bps),
        ("riops", options.device_read_iops),
        ("wiops", options.device_write_iops),
    ):
        for text in asked:
            device, _, rate = text.rpartition(":")
            what = f"the rate of {device!r}"
            limit = size(rate, what) if key.endswith("bps") else _whole(rate, what, 1, 2**32 - 1)
            number = _device(device)
            lines[number] = f"{lines.get(number, number)} {key}={limit}"
    return "\n".join(lines.values())


def _device(path: str) -> str:
    """Return a block device's number, "8:0"; the kernel limits whole disks only.

    Raises:
        LabError: it is none.
    """
    try:
        found = os.stat(path)
    except OSError as error:
        raise LabError(f"limit the device {path!r}", errno_text(error)) from error
    if not stat.S_ISBLK(found.st_mode):
        raise LabError(f"limit the device {path!r}", "not a block device", remedy="see lsblk(8)")
    number = f"{os.major(found.st_rdev)}:{os.minor(found.st_rdev)}"
    entry = Path(f"/sys/dev/block/{number}")
    if (entry / "partition").exists():
        disk = f"/dev/{entry.resolve().parent.name}"
        raise LabError(f"limit the device {path!r}", "a partition", remedy=f"name its disk, {disk}")
    return number


def _conf(text: str) -> tuple[str, str]:
    """Return a file of cgroup v2 and its value; whether the host has it is asked in `cgroups`."""
    file, _, value = text.partition("=")
    if not file or not value:
        raise LabError(f"set {text!r}", "not FILE=VALUE", remedy="write memory.high=9m")
    counts_bytes = file.startswith(("memory.", "hugetlb.")) and re.fullmatch(
        _SIZE, value, re.IGNORECASE
    )
    return file, size(value) if counts_bytes and int(counts_bytes[1]) else value
