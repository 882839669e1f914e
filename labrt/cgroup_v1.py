"""cgroup v1 spoken to in v2's words (cgroups(7)).

In v1 each controller has a hierarchy of its own, with file names and units of its own
(https://docs.kernel.org/admin-guide/cgroup-v1/). `translation` tells what a v2 file is called
there, how its value is written, and how it is read back in v2's form. What v1 can't do has no
translation, and is refused by `labrt/cgroups.py`.

Lesson: notebook 10.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from labrt import paths
from labrt.cgroup_folders import tree

# Controller → the cgroup's folder in its hierarchy; "unified" → that in the v2 hierarchy, if any.
Folders = Mapping[str, Path]
Writes = list[tuple[str, str]]  # v1 file, text; in the order in which the kernel takes them

# v1's names of the controllers → v2's.
CONTROLLERS = {name: name for name in ("cpu", "memory", "pids", "cpuset", "hugetlb")} | {
    "blkio": "io"
}
# What v2 has in every cgroup and v1 has in hierarchies; needed where no v2 is mounted beside.
CORE = ("freezer", "cpuacct")

_UNLIMITED = 1 << 62  # v1 shows "no limit" as 2^63 less one page


@dataclass(frozen=True)
class Translation:
    """One v2 file in v1: its hierarchy, the v1 files it is made of, and the two directions.

    `write` is None for a file that is only read.
    """

    controller: str
    files: tuple[str, ...]
    read: Callable[[Folders], str]
    write: Callable[[Folders, str], Writes] | None = None


def translation(file: str) -> Translation | None:
    """Return what the v2 `file` is in v1, None if v1 has nothing like it."""
    if file.startswith("hugetlb.") and re.fullmatch(r"hugetlb\.\w+(\.rsvd)?\.max", file):
        return _limit("hugetlb", file.removesuffix("max") + "limit_in_bytes")
    return _FILES.get(file)


def _text(path: Path) -> str:
    return path.read_text().strip()


def _number(path: Path) -> int:
    return int(paths.read(path))


def numbers(text: str) -> dict[str, int]:
    """Return the numbers of a "flat keyed" file: a name and a number on each line."""
    return {key: int(value) for key, value in map(str.split, text.splitlines())}


def _lines(values: Mapping[str, int]) -> str:
    return "".join(f"{name} {value}\n" for name, value in values.items())


def _same(controller: str, file: str, v1_file: str = "") -> Translation:
    """A file that differs in its name at most."""
    name = v1_file or file
    return Translation(
        controller,
        (name,),
        lambda at: _text(at[controller] / name),
        lambda at, value: [(name, value)],
    )


def _limit(controller: str, name: str) -> Translation:
    """A limit whose "max" is -1 in v1."""
    return Translation(
        controller,
        (name,),
        lambda at: _v2_max(_number(at[controller] / name)),
        lambda at, value: [(name, _v1_max(value))],
    )


def _v1_max(value: str) -> str:
    return "-1" if value == "max" else value


def _v2_max(value: int) -> str:
    return "max" if value < 0 or value >= _UNLIMITED else str(value)


# memory. v1 limits memory and swap together (memsw), v2 each for itself.


def _swap_max(at: Folders) -> str:
    total = _v2_max(_number(at["memory"] / _MEMSW))
    return total if total == "max" else str(int(total) - _number(at["memory"] / _LIMIT))


def _write_memory_max(at: Folders, value: str) -> Writes:
    """Keep the share of swap; memsw may never be below the memory limit, not even between."""
    limit = (_LIMIT, _v1_max(value))
    if not (at["memory"] / _MEMSW).exists() or (swap := _swap_max(at)) == "max":
        return [limit]
    if value == "max":
        return [(_MEMSW, "-1"), limit]
    total = (_MEMSW, str(int(value) + int(swap)))
    raised = int(value) > _number(at["memory"] / _LIMIT)
    return [total, limit] if raised else [limit, total]


def _write_swap_max(at: Folders, value: str) -> Writes:
    memory = _v2_max(_number(at["memory"] / _LIMIT))
    if value == "max":
        return [(_MEMSW, "-1")]
    if memory == "max":
        raise ValueError("cgroup v1 limits swap only where memory is limited")
    return [(_MEMSW, str(int(memory) + int(value)))]


def _swap_current(at: Folders) -> str:
    total = _number(at["memory"] / "memory.memsw.usage_in_bytes")
    return str(max(0, total - _number(at["memory"] / "memory.usage_in_bytes")))


def _memory_stat(at: Folders) -> str:
    """v2's names. `file` counts tmpfs in both, as v1's cache does."""
    stat = numbers(_text(at["memory"] / "memory.stat"))
    found = {
        name: stat[f"total_{v1}"] for name, v1 in _MEMORY_STAT.items() if f"total_{v1}" in stat
    }
    kernel = at["memory"] / "memory.kmem.usage_in_bytes"
    return _lines(found | ({"kernel": _number(kernel)} if kernel.exists() else {}))


def _memory_events(at: Folders) -> str:
    """v2 counts the cgroups below, too; in v1 each has its own count."""
    texts = (paths.read(f"{each}/memory.oom_control") for each in tree(at["memory"]))
    return _lines({"oom_kill": sum(numbers(text).get("oom_kill", 0) for text in texts)})


_LIMIT = "memory.limit_in_bytes"
_MEMSW = "memory.memsw.limit_in_bytes"
_MEMORY_STAT = {
    "anon": "rss",
    "file": "cache",
    "shmem": "shmem",
    "file_mapped": "mapped_file",
    "file_dirty": "dirty",
    "pgfault": "pgfault",
    "pgmajfault": "pgmajfault",
}


# cpu


def _write_cpu_max(at: Folders, value: str) -> Writes:
    quota, _, period = value.partition(" ")
    return [("cpu.cfs_period_us", period or "100000"), ("cpu.cfs_quota_us", _v1_max(quota))]


def _cpu_max(at: Folders) -> str:
    quota = _v2_max(_number(at["cpu"] / "cpu.cfs_quota_us"))
    return f"{quota} {_text(at['cpu'] / 'cpu.cfs_period_us')}"


def _write_cpu_weight(at: Folders, value: str) -> Writes:
    """The kernel's own scale: weight 100 is 1024 shares (sched_weight_from_cgroup)."""
    return [("cpu.shares", str(max(2, round(int(value) * 1024 / 100))))]


def _cpu_weight(at: Folders) -> str:
    shares = _number(at["cpu"] / "cpu.shares")
    return str(min(10000, max(1, round(shares * 100 / 1024))))


def _cpu_stat(at: Folders) -> str:
    throttling = numbers(_text(at["cpu"] / "cpu.stat"))
    throttled = {
        "nr_periods": throttling["nr_periods"],
        "nr_throttled": throttling["nr_throttled"],
        "throttled_usec": throttling["throttled_time"] // 1000,
    }
    return _lines(_cpu_time(at) | throttled)


def _cpu_time(at: Folders) -> dict[str, int]:
    """The v2 hierarchy beside counts time without any controller; else cpuacct does."""
    if "unified" in at:
        return numbers(_text(at["unified"] / "cpu.stat"))
    if "cpuacct" not in at:
        return {}
    ticks = numbers(_text(at["cpuacct"] / "cpuacct.stat"))
    tick = 1_000_000 // os.sysconf("SC_CLK_TCK")
    return {
        "usage_usec": _number(at["cpuacct"] / "cpuacct.usage") // 1000,
        "user_usec": ticks["user"] * tick,
        "system_usec": ticks["system"] * tick,
    }


# io. v2 has one line for a device ("8:0 rbps=1048576 wiops=120"), v1 one file for each key.

_THROTTLE = {
    "rbps": "blkio.throttle.read_bps_device",
    "wbps": "blkio.throttle.write_bps_device",
    "riops": "blkio.throttle.read_iops_device",
    "wiops": "blkio.throttle.write_iops_device",
}
_BYTES = "blkio.throttle.io_service_bytes_recursive"
_OPERATIONS = "blkio.throttle.io_serviced_recursive"


def _write_io_max(at: Folders, value: str) -> Writes:
    device, *pairs = value.split()
    limits = [pair.split("=", 1) for pair in pairs]
    if unknown := [pair[0] for pair in limits if len(pair) != 2 or pair[0] not in _THROTTLE]:
        raise ValueError(f"{unknown[0]!r} is none of {', '.join(_THROTTLE)}")
    return [
        (_THROTTLE[key], f"{device} {'0' if limit == 'max' else limit}") for key, limit in limits
    ]


def _io_max(at: Folders) -> str:
    devices: dict[str, dict[str, str]] = {}
    for key, file in _THROTTLE.items():
        for device, limit in map(str.split, _text(at["io"] / file).splitlines()):
            devices.setdefault(device, dict.fromkeys(_THROTTLE, "max"))[key] = limit
    return "".join(
        f"{device} {' '.join(f'{key}={limit}' for key, limit in limits.items())}\n"
        for device, limits in devices.items()
    )


def _io_stat(at: Folders) -> str:
    devices: dict[str, str] = {}
    for file, unit in ((_BYTES, "bytes"), (_OPERATIONS, "ios")):
        for line in _text(at["io"] / file).splitlines():
            match line.split():
                case [device, "Read" | "Write" as kind, count]:
                    devices[device] = f"{devices.get(device, '')} {kind[0].lower()}{unit}={count}"
    return "".join(f"{device}{counts}\n" for device, counts in devices.items())


def _without_default(value: str) -> str:
    return value.removeprefix("default ")


def _io_weight() -> Translation:
    name = "blkio.bfq.weight"
    return Translation(
        "io",
        (name,),
        lambda at: f"default {_text(at['io'] / name)}",
        lambda at, value: [(f"{name}_device" if ":" in value else name, _without_default(value))],
    )


# freezer


def _freezer(at: Folders) -> str:
    return _text(at["freezer"] / "freezer.state")


_FILES = {
    "memory.max": Translation(
        "memory", (_LIMIT,), lambda at: _v2_max(_number(at["memory"] / _LIMIT)), _write_memory_max
    ),
    "memory.swap.max": Translation("memory", (_MEMSW,), _swap_max, _write_swap_max),
    "memory.low": _limit("memory", "memory.soft_limit_in_bytes"),
    "memory.current": _same("memory", "memory.usage_in_bytes"),
    "memory.peak": _same("memory", "memory.max_usage_in_bytes"),
    "memory.swap.current": Translation("memory", ("memory.memsw.usage_in_bytes",), _swap_current),
    "memory.stat": Translation("memory", ("memory.stat",), _memory_stat),
    "memory.events": Translation("memory", ("memory.oom_control",), _memory_events),
    "cpu.max": Translation(
        "cpu", ("cpu.cfs_period_us", "cpu.cfs_quota_us"), _cpu_max, _write_cpu_max
    ),
    "cpu.weight": Translation("cpu", ("cpu.shares",), _cpu_weight, _write_cpu_weight),
    "cpu.max.burst": _same("cpu", "cpu.max.burst", "cpu.cfs_burst_us"),
    "cpu.idle": _same("cpu", "cpu.idle"),
    "cpu.stat": Translation("cpu", ("cpu.stat",), _cpu_stat),
    "pids.max": _same("pids", "pids.max"),
    "pids.current": _same("pids", "pids.current"),
    "pids.peak": _same("pids", "pids.peak"),
    "pids.events": _same("pids", "pids.events"),
    "cpuset.cpus": _same("cpuset", "cpuset.cpus"),
    "cpuset.mems": _same("cpuset", "cpuset.mems"),
    "io.max": Translation("io", tuple(_THROTTLE.values()), _io_max, _write_io_max),
    "io.stat": Translation("io", (_BYTES, _OPERATIONS), _io_stat),
    "io.weight": _io_weight(),
    "cgroup.freeze": Translation(
        "freezer",
        ("freezer.state",),
        lambda at: "0" if _freezer(at) == "THAWED" else "1",
        lambda at, value: [("freezer.state", "FROZEN" if value == "1" else "THAWED")],
    ),
    "cgroup.events": Translation(
        "freezer", ("freezer.state",), lambda at: f"frozen {_freezer(at) == 'FROZEN':d}"
    ),
}
