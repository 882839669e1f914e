"""`labrt-oci events ID`: what a container uses, as JSON lines in runc's words.

https://github.com/opencontainers/runc/blob/main/types/events.go has the words. Times there are
nanoseconds, sizes bytes.
"""

from __future__ import annotations

import json
import re
import time
from types import SimpleNamespace
from typing import Any

from labrt import usage
from labrt.errors import LabError
from labrt.oci import lifecycle
from labrt.oci.words import Option

HELP = "tell what a container uses, again and again"
OPTIONS = (
    Option("stats", "tell it once"),
    Option("interval", "seconds between two readings, or 500ms, 2m", "TIME", default="5s"),
)
OPERANDS = "ID"
_UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "": 1.0}
_LIVING: tuple[lifecycle.Stage, ...] = ("created", "running", "paused")


def main(given: SimpleNamespace) -> int:
    pause = seconds(given.interval)
    folder, spec = lifecycle.demand(given.id, "watch", *_LIVING)
    cgroup = lifecycle.own_cgroup(spec)
    killed = cgroup.oom_kills()
    while True:
        now = usage.read(cgroup)
        _tell("stats", given.id, stats(now))
        if given.stats:
            return 0
        time.sleep(pause)
        if not folder.exists() or lifecycle.stage(folder, spec) not in _LIVING:
            return 0
        if cgroup.oom_kills() > killed:
            killed = cgroup.oom_kills()
            _tell("oom", given.id)


def _tell(kind: str, container_id: str, data: dict[str, Any] | None = None) -> None:
    told = {"type": kind, "id": container_id}
    print(json.dumps(told | ({"data": data} if data else {})), flush=True)


def stats(now: usage.Usage) -> dict[str, Any]:
    """Return what a cgroup uses, in runc's words; what this host doesn't tell is left out."""
    memory = {"usage": now.memory, "max": now.memory_peak, "limit": now.memory_max}
    kinds = now.memory_by_kind
    return {
        "cpu": {
            "usage": _told(total=_ns(now.cpu_usec), user=_ns(now.user_usec))
            | _told(kernel=_ns(now.system_usec)),
            "throttling": _told(
                periods=now.periods,
                throttledPeriods=now.throttled_periods,
                throttledTime=_ns(now.throttled_usec),
            ),
        },
        "memory": {
            **_told(cache=kinds.file if kinds else None),
            "usage": _told(**memory),
            "swap": _told(usage=now.swap),
        },
        "pids": _told(current=now.pids, limit=now.pids_max),
        "blkio": {
            "ioServiceBytesRecursive": _io(now.read_bytes, now.written_bytes),
            "ioServicedRecursive": _io(now.reads, now.writes),
        },
        "hugetlb": {},
        "intel_rdt": {},
        "network_interfaces": None,
    }


def _told(**values: int | None) -> dict[str, int]:
    return {name: value for name, value in values.items() if value is not None}


def _ns(microseconds: int | None) -> int | None:
    return None if microseconds is None else microseconds * 1000


def _io(read: int | None, written: int | None) -> list[dict[str, Any]]:
    """All disks together."""
    told = (("Read", read), ("Write", written))
    return [{"major": 0, "minor": 0, "op": op, "value": n} for op, n in told if n is not None]


def seconds(text: str) -> float:
    """Return a length of time, as runc takes it.

    Raises:
        LabError: it is none.
    """
    found = re.fullmatch(r"([0-9]{1,6}(?:\.[0-9]{1,6})?)(ms|s|m|h|)", text)
    if not found or not float(found[1]):
        raise LabError(f"wait {text!r}", "not a time", remedy="seconds, or 500ms, 5s, 2m, 1h")
    return float(found[1]) * _UNITS[found[2]]
