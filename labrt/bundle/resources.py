"""`linux.cgroupsPath` and `linux.resources` of a bundle, in cgroup v2's words.

https://github.com/opencontainers/runtime-spec/blob/main/config-linux.md#control-groups. The values
there are v1's; how they become v2's is written in runc's and crun's documents, too.
"""

from __future__ import annotations

from labrt import cgroups, limits
from labrt.bundle.reading import I64, Value
from labrt.errors import LabError


def cgroup(container_id: str, told: Value) -> str:
    """Return the container's cgroup: an absolute path is below the hierarchies' root, a relative
    one below the lab's own.

    Raises:
        LabError: it leads elsewhere, or there is one already.
    """
    if reason := cgroups.unavailable():
        if told.text(""):
            raise LabError(f"make the cgroup {told.data}", reason)
        return ""
    path = told.text("") or container_id
    if ".." in path.split("/"):
        raise told.wrong(f"{path!r} leads elsewhere")
    return path.strip("/") if path.startswith("/") else f"{cgroups.top()}/{path}"


def files(told: Value) -> dict[str, str]:
    """Return cgroup v2 file → value.

    Raises:
        LabError: a value that is none, or a limit that this host can't keep.
    """
    found = {
        **_memory(told["memory"]),
        **_cpu(told["cpu"]),
        **_pids(told["pids"]),
        **{name: value.text() for name, value in told["unified"].items()},
    }
    if found and (reason := cgroups.refusal(found)):
        raise LabError(f"limit {', '.join(found)}", reason)
    return found


def _most(told: Value) -> str:
    """A limit of which -1 is none."""
    number = told.number(low=-1, high=I64)
    return "max" if number < 0 else str(number)


def _memory(told: Value) -> dict[str, str]:
    found = {}
    if told["limit"]:
        found["memory.max"] = _most(told["limit"])
    if told["reservation"]:
        found["memory.low"] = _most(told["reservation"])
    if told["swap"]:
        both, memory = _most(told["swap"]), found.get("memory.max", "max")
        if both != "max" and (memory == "max" or int(memory) > int(both)):
            raise told["swap"].wrong("it counts memory, too, which has no lower limit")
        found["memory.swap.max"] = "max" if both == "max" else str(int(both) - int(memory))
    return found


def _cpu(told: Value) -> dict[str, str]:
    found = {}
    if told["shares"].data:  # 0 is "not asked for", as engines write it
        found["cpu.weight"] = limits.cpu_weight(str(told["shares"].number(high=I64)))
    if told["quota"].data or told["period"].data:
        quota = _most(told["quota"]) if told["quota"].data else "max"
        found["cpu.max"] = f"{quota} {told['period'].number(limits.CPU_PERIOD) or limits.CPU_PERIOD}"
    for name, file in (("cpus", "cpuset.cpus"), ("mems", "cpuset.mems")):
        if told[name].data:
            found[file] = told[name].text()
    return found


def _pids(told: Value) -> dict[str, str]:
    if not told["limit"]:
        return {}
    number = told["limit"].number(low=-1, high=I64)
    return {"pids.max": str(number) if number > 0 else "max"}
