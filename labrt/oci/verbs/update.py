"""`labrt-oci update ID`: other limits for a container that runs."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

from labrt import hierarchies
from labrt.bundle import reading, resources
from labrt.errors import LabError
from labrt.oci import lifecycle
from labrt.oci.words import Option

HELP = "change the limits of a container"
# Option → where the specification has it (config-linux.md#control-groups).
_PLACES = {
    "blkio-weight": ("blockIO", "weight"),
    "cpu-period": ("cpu", "period"),
    "cpu-quota": ("cpu", "quota"),
    "cpu-share": ("cpu", "shares"),
    "cpuset-cpus": ("cpu", "cpus"),
    "cpuset-mems": ("cpu", "mems"),
    "memory": ("memory", "limit"),
    "memory-reservation": ("memory", "reservation"),
    "memory-swap": ("memory", "swap"),
    "pids-limit": ("pids", "limit"),
}
OPTIONS = (
    Option("resources", "as linux.resources of config.json; - is standard input", "FILE", "r"),
    *(Option(name, f"linux.resources.{'.'.join(at)}", "N") for name, at in _PLACES.items()),
)
OPERANDS = "ID"


def main(given: SimpleNamespace) -> int:
    states: tuple[lifecycle.Stage, ...] = ("created", "running", "paused")
    _folder, spec = lifecycle.demand(given.id, "update", *states)
    asked = _asked(given)
    limits = resources.limits(spec.cgroup, asked)
    if not any(limits):
        raise LabError(f"limit the container {given.id}", "no limit was named")
    group = lifecycle.own_cgroup(spec)
    resources.check_before_update(asked, group)
    with hierarchies.changed(limits.v1_files):
        group.update(limits.files)
    return 0


def _asked(given: SimpleNamespace) -> reading.Value:
    if given.resources:
        return reading.file(Path("/dev/stdin" if given.resources == "-" else given.resources))
    found: dict[str, dict[str, Any]] = {}
    for name, (group, field) in _PLACES.items():
        if (text := getattr(given, name.replace("-", "_"))) is not None:
            found.setdefault(group, {})[field] = (
                text if name.startswith("cpuset") else _number(text)
            )
    return reading.Value("", found)


def _number(text: str) -> int | str:
    """What is none, `resources` refuses."""
    try:
        return int(text)
    except ValueError:
        return text
