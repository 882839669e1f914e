"""`linux.cgroupsPath` and `linux.resources` of a bundle (config-linux.md#control-groups).

The values are v1's. What v2 has a word for is said in v2's words, for any host; what only v1 has is
a file and its text, and refused where the host hasn't got that hierarchy. A number of 0 is "not
asked for", as engines write it.
"""

from __future__ import annotations

import re
from typing import NamedTuple

from labrt import cgroups, hierarchies
from labrt import limits as words
from labrt.bundle.reading import I64, U32, U64, Value
from labrt.errors import LabError

_WEIGHTS = (10, 1000)
_PAGE = r"[1-9][0-9]*[KMG]B"


class Limits(NamedTuple):
    """What a cgroup is limited to.

    Attributes:
        files: cgroup v2 file → value.
        v1_files: path and text of what v2 has no word for.
    """

    files: dict[str, str]
    v1_files: tuple[tuple[str, str], ...]


def cgroup(container_id: str, told: Value, scoped: bool = False) -> str:
    """Return the container's cgroup: an absolute path is below the hierarchies' root, a relative
    one below the lab's own. "" where this user can't have one and none was asked for.

    Args:
        scoped: it is to be in a scope of systemd's.

    Raises:
        LabError: it leads elsewhere, or names no scope.
    """
    if scoped:
        return _in_scope(container_id, told)
    if reason := cgroups.unavailable():
        if told.text(""):
            raise LabError(f"make the cgroup {told.data}", reason)
        return ""
    path = told.text("") or container_id
    parts = [part for part in path.split("/") if part not in ("", ".")]
    if ".." in parts:
        raise told.wrong(f"{path!r} leads elsewhere")
    if not parts:
        raise told.wrong("the root of the hierarchies is everybody's")
    return "/".join(parts if path.startswith("/") else [cgroups.top(), *parts])


def _in_scope(container_id: str, told: Value) -> str:
    """SLICE:PREFIX:NAME is PREFIX-NAME.scope in SLICE, as runc has it."""
    from labrt import scopes  # seldom needed

    slice, *names = told.text("").split(":") if told.text("") else ("", "labrt-oci", container_id)
    fits = len(names) == 2 and all(re.fullmatch(r"[\w.@+-]+", name) for name in names)
    if not fits or not re.fullmatch(r"((-|\w[\w.@-]*)\.slice)?", slice) or ".." in slice:
        raise told.wrong(f"{told.data!r} is not SLICE:PREFIX:NAME, with which systemd is asked")
    scope = scopes.Scope(f"{names[0]}-{names[1]}.scope", slice or "system.slice")
    return f"{scope.cgroup}/{scopes.CONTAINER}"


def other_hierarchies(name: str) -> tuple[str, ...]:
    """Return the cgroup's folders in v1 hierarchies that the lab doesn't use."""
    return hierarchies.others(name) if name else ()


def limits(name: str, told: Value) -> Limits:
    """Return the limits for the cgroup `name`.

    Raises:
        LabError: a value that is none, or a limit that this host can't keep.
    """
    only_v1 = _V1(name)
    unified = {file: value.text() for file, value in told["unified"].items()}
    found = {
        **_memory(told["memory"], only_v1),
        **_cpu(told["cpu"], only_v1),
        **_block_io(told["blockIO"]),
        **_huge_pages(told["hugepageLimits"]),
        **_pids(told["pids"]),
        **_rdma(told["rdma"]),
        **unified,
    }
    _network(told["network"], only_v1)
    asked = {file: value for file, value in found.items() if not _is_of_every_cgroup(file)}
    if asked and (reason := cgroups.uncontrolled(asked)):
        raise LabError(f"limit {', '.join(asked)}", reason)
    return Limits(found, tuple(only_v1.files))


def check_before_update(told: Value, group: cgroups.Cgroup) -> None:
    """Refuse a memory limit below what is in use, where it was asked for: v1's kernel does so, v2's
    would kill.

    Raises:
        LabError: it is.
    """
    memory = told["memory"]
    limit = memory["limit"].number(0, -1, I64)
    if memory["checkBeforeUpdate"].flag() and 0 < limit < int(group.read("memory.current")):
        raise memory["limit"].wrong("more than that is in use")


class _V1:
    """Collects what only v1 has."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.files: list[tuple[str, str]] = []

    def add(self, told: Value, controller: str, file: str, text: str) -> None:
        """Write `text` into a file of v1.

        Raises:
            LabError: this host hasn't got the controller in v1.
        """
        folder = hierarchies.folder(controller, self.name)
        if folder is None:
            raise told.wrong(f"cgroup v2 has nothing like it, and no {controller} of v1 is here")
        self.files.append((str(folder / file), text))


def _is_of_every_cgroup(file: str) -> bool:
    """Whether it is one of v2's own files, "cgroup.max.depth", which need no controller."""
    core, _, name = file.partition(".")
    plain = name.isascii() and name.replace(".", "").isalpha()
    return core == "cgroup" and plain and cgroups.layout().unified is not None


def _most(told: Value) -> str:
    """A limit of which -1 is none."""
    number = told.number(low=-1, high=I64)
    return "max" if number < 0 else str(number)


def _memory(told: Value, v1: _V1) -> dict[str, str]:
    found = {}
    if told["limit"].data:
        found["memory.max"] = _most(told["limit"])
    if told["reservation"].data:
        found["memory.low"] = _most(told["reservation"])
    if told["swap"].data:
        found["memory.swap.max"] = _swap(told["swap"], found.get("memory.max", "max"))
    for name in ("kernel", "kernelTCP"):
        if told[name].number(0, -1, I64) > 0:
            raise told[name].wrong("the kernel counts it with all other memory: use limit")
    if told["swappiness"]:
        value = told["swappiness"].number(high=100)
        v1.add(told["swappiness"], "memory", "memory.swappiness", str(value))
    if told["disableOOMKiller"].flag():
        v1.add(told["disableOOMKiller"], "memory", "memory.oom_control", "1")
    if not told["useHierarchy"].flag(True):
        raise told["useHierarchy"].wrong("the kernel always counts what is below, too")
    told["checkBeforeUpdate"].flag()
    return found


def _swap(told: Value, memory: str) -> str:
    both = _most(told)
    if both == "max":
        return both
    if memory == "max" or int(memory) > int(both):
        raise told.wrong("it counts memory, too, which has no lower limit")
    return str(int(both) - int(memory))


def _cpu(told: Value, v1: _V1) -> dict[str, str]:
    found = {}
    if told["shares"].data:
        shares = str(told["shares"].number(low=2, high=262144))
        if "cpu" in cgroups.layout().v1:
            v1.add(told["shares"], "cpu", "cpu.shares", shares)
        else:
            found["cpu.weight"] = words.cpu_weight(shares)
    period = told["period"].number(0, high=U64) or words.CPU_PERIOD
    if told["quota"].data or told["period"].data:
        quota = _most(told["quota"]) if told["quota"].data else "max"
        found["cpu.max"] = f"{quota} {period}"
    if told["burst"].data:
        found["cpu.max.burst"] = str(told["burst"].number(high=U64))
    if told["idle"].number(0, high=1):
        found["cpu.idle"] = "1"
    for name, file in (("realtimePeriod", "rt_period_us"), ("realtimeRuntime", "rt_runtime_us")):
        if told[name].data:
            v1.add(told[name], "cpu", f"cpu.{file}", str(told[name].number(low=-1, high=I64)))
    if told["cpus"].data:
        found["cpuset.cpus"] = words.cpuset_cpus(told["cpus"].text())
    if told["mems"].data:
        found["cpuset.mems"] = words.cpuset_mems(told["mems"].text())
    return found


def _block_io(told: Value) -> dict[str, str]:
    found = {}
    if weights := _weights(told):
        found["io.weight"] = weights
    rates: dict[str, str] = {}
    for name, key in (
        ("throttleReadBpsDevice", "rbps"),
        ("throttleWriteBpsDevice", "wbps"),
        ("throttleReadIOPSDevice", "riops"),
        ("throttleWriteIOPSDevice", "wiops"),
    ):
        for each in told[name]:
            rate = each["rate"].number(high=U64)
            disk = _disk(each)
            rates[disk] = f"{rates.get(disk, disk)} {key}={rate or 'max'}"
    if rates:
        found["io.max"] = "\n".join(rates.values())
    return found


def _weights(told: Value) -> str:
    lines = []
    if told["weight"].data:
        lines.append(f"default {_weight(told['weight'])}")
    _refuse_leaf(told)
    for each in told["weightDevice"]:
        _refuse_leaf(each)
        lines.append(f"{_disk(each)} {_weight(each['weight'])}")
    return "\n".join(lines)


def _weight(told: Value) -> int:
    return told.number(None, *_WEIGHTS)


def _refuse_leaf(told: Value) -> None:
    told["leafWeight"].refuse("the kernel has it no more: it was the CFQ scheduler's")


def _disk(told: Value) -> str:
    return f"{told['major'].number()}:{told['minor'].number()}"


def _huge_pages(told: Value) -> dict[str, str]:
    found = {}
    for each in told:
        size, limit = each["pageSize"].text(), str(each["limit"].number(high=U64))
        if not re.fullmatch(_PAGE, size):
            raise each["pageSize"].wrong(f"{size!r} is no size such as 2MB")
        if int(limit) > I64:
            limit = "max"
        found[f"hugetlb.{size}.max"] = limit
        reserved = f"hugetlb.{size}.rsvd.max"  # also those that are reserved and not yet touched
        if cgroups.refusal({reserved: limit}) is None:
            found[reserved] = limit
    return found


def _pids(told: Value) -> dict[str, str]:
    if not told:
        return {}
    number = told["limit"].number(low=-1, high=I64)
    return {"pids.max": str(number) if number > 0 else "max"} if number else {}


def _rdma(told: Value) -> dict[str, str]:
    lines = []
    for device, value in told.items():
        keys = {"hcaHandles": "hca_handle", "hcaObjects": "hca_object"}
        pairs = [f"{key}={value[name].number()}" for name, key in keys.items() if value[name]]
        if not pairs or not re.fullmatch(r"\S+", device):
            raise value.wrong("neither hcaHandles nor hcaObjects, or no device")
        lines.append(f"{device} {' '.join(pairs)}")
    return {"rdma.max": "\n".join(lines)} if lines else {}


def _network(told: Value, v1: _V1) -> None:
    if told["classID"].data:
        classes = str(told["classID"].number(high=U32))
        v1.add(told["classID"], "net_cls", "net_cls.classid", classes)
    for each in told["priorities"]:
        text = f"{each['name'].text()} {each['priority'].number(high=U32)}"
        v1.add(each, "net_prio", "net_prio.ifpriomap", text)
