"""Limits as users write them ("256m", 1.5 CPUs), turned into cgroup v2's files and values.

https://docs.kernel.org/admin-guide/cgroup-v2.html

Lesson: notebooks 11 to 15.
"""

from __future__ import annotations

import re

from labrt.errors import LabError
from labrt.options import Options

_SIZE = re.compile(r"(\d+)([bkmg]?)", re.IGNORECASE)
_UNITS = {"": 1, "b": 1, "k": 1024, "m": 1024**2, "g": 1024**3}
CPU_PERIOD = 100_000  # microseconds, the kernel's default (cgroup-v2.rst, cpu.max)


def resources(options: Options) -> dict[str, str]:
    """Return cgroup v2 file → value for every limit that was asked for.

    Raises:
        LabError: a value that is none.
    """
    return {
        file: convert(text)
        for file, convert, text in (
            ("memory.max", size, options.memory),
            ("cpu.max", cpu_max, options.cpus),
            ("pids.max", pids_max, options.pids_limit),
        )
        if text is not None
    }


def size(text: str) -> str:
    """Return the bytes of a size as Docker spells it: "256m", "1g", "1048576".

    Raises:
        LabError: not such a size.
    """
    match = _SIZE.fullmatch(text)
    if not match or int(match[1]) == 0:
        raise LabError(f"set the memory limit to {text!r}", "not a size", remedy="write 256m or 1g")
    return str(int(match[1]) * _UNITS[match[2].lower()])


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


def pids_max(text: str) -> str:
    """Return pids.max for a number of processes.

    Raises:
        LabError: not a positive whole number.
    """
    if not text.isdecimal() or int(text) == 0:
        raise LabError(f"set the limit of processes to {text!r}", "not a whole number above 0")
    return text
