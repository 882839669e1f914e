"""The host's fingerprint: what a reader must know to judge the numbers, kept as host.json.

It names no person and no network: no host name, no user, no address. What couldn't be found out is
None, never guessed.
"""

from __future__ import annotations

import hashlib
import importlib.metadata
import json
import os
import platform
import re
import shutil
import subprocess
import time
from collections import Counter
from pathlib import Path
from typing import Any

from bench import meminfo
from labrt import cgroups
from labrt.errors import LabError

# Parts that make two runs "the same host": a comparison across others is refused.
IDENTITY = ("kernel", "distribution", "cpu", "memory", "cgroups")

PACKAGES = ("libvirt-python", "numpy", "pandas", "scipy", "matplotlib", "psutil", "rich")
COMMANDS = {
    "qemu": ("qemu-system-x86_64", "--version"),
    "busybox": ("/bin/busybox",),
    "runc": ("runc", "--version"),
    "crun": ("crun", "--version"),
}


def fingerprint(accelerator: dict[str, Any]) -> dict[str, Any]:
    """Return what is known about this host; JSON types only.

    Args:
        accelerator: the verdict of `bench.accelerator`, with its reason.
    """
    found = {
        "kernel": kernel(),
        "distribution": distribution(),
        "cpu": cpu(),
        "memory": {"total": meminfo.total()},
        "cgroups": cgroup_layout(),
        "accelerator": accelerator,
        "load": {"average_1_min": os.getloadavg()[0], "mem_available": meminfo.available()},
        "uid": os.geteuid(),
        "versions": versions(),
        "taken_at": time.strftime("%Y-%m-%dT%H:%M:%S%z"),
    }
    return found | {"id": identity(found)}


def identity(found: dict[str, Any]) -> str:
    """Return twelve hex digits that are equal for equal hosts.

    Memory counts in whole GiB: the kernel's total differs by a few pages between boots.
    """
    parts = {key: found[key] for key in IDENTITY}
    parts["memory"] = round(found["memory"]["total"] / 2**30)
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()[:12]


def kernel() -> dict[str, Any]:
    """Name the kernel, and those of its settings that move the numbers."""
    name = os.uname()
    return {
        "release": name.release,
        "machine": name.machine,
        "transparent_hugepages": _chosen("/sys/kernel/mm/transparent_hugepage/enabled"),
        "ksm": _text("/sys/kernel/mm/ksm/run") == "1",
        "swap": len((_text("/proc/swaps") or "").splitlines()) > 1,
        "virtual_machine": "hypervisor" in _cpu_flags(),
    }


def distribution() -> str | None:
    """Return what os-release(5) calls it."""
    try:
        return platform.freedesktop_os_release().get("PRETTY_NAME")
    except OSError:
        return None


def cpu() -> dict[str, Any]:
    """Name the processor, and whether it offers hardware virtualization."""
    flags = _cpu_flags()
    return {
        "model": _cpu_field("model name"),
        "count": os.cpu_count(),
        "usable": len(os.sched_getaffinity(0)),
        "virtualization": next((flag for flag in ("vmx", "svm") if flag in flags), None),
        "governor": _text("/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor"),
    }


def cgroup_layout() -> dict[str, Any]:
    """Name the layout and where each controller of the lab lives."""
    found = cgroups.layout()
    return {"kind": found.kind, "v1": sorted(found.v1), "v2": sorted(found.v2)}


def versions() -> dict[str, str | None]:
    """Return the version of everything that takes part; None = not installed."""
    found: dict[str, str | None] = {"python": platform.python_version(), "lab": lab_version()}
    for name, command in COMMANDS.items():
        found[name] = _first_line(command)
    for name in PACKAGES:
        found[name] = _package(name)
    found["libvirt"] = libvirt_version()
    found["guest_kernel"] = guest_kernel()
    return found


def lab_version() -> str | None:
    """Return the lab's commit, "-dirty" after it if files were changed since."""
    root = Path(__file__).parent.parent
    # Under sudo the clone belongs to somebody else, which git otherwise refuses to read.
    trust = ("-c", f"safe.directory={root}")
    return _first_line(("git", *trust, "-C", str(root), "describe", "--always", "--dirty"))


def libvirt_version() -> str | None:
    """Return the version of the C library that the bindings load."""
    from bench import hypervisor

    try:
        libvirt = hypervisor.library()
    except LabError:
        return None
    number = int(libvirt.getVersion())
    return f"{number // 1000000}.{number // 1000 % 1000}.{number % 1000}"


def guest_kernel() -> str | None:
    """Return the release of the kernel that guests boot, as set-up noted it."""
    from labrt import paths

    if named := os.environ.get("LAB_KERNEL"):
        return Path(named).name
    return _text(str(paths.home() / "kernels" / "cloud" / "release"))


def each(found: dict[str, Any]) -> list[dict[str, Any]]:
    """Return the fingerprints of a run's hosts: of one, or of all of a fleet."""
    hosts: list[dict[str, Any]] = found.get("hosts", [found])
    return hosts


def describe_each(found: dict[str, Any]) -> dict[str, str]:
    """Return `describe` of each of a run's hosts, by its id."""
    return {host["id"]: describe(host) for host in each(found)}


def describe(found: dict[str, Any]) -> str:
    """Return one line for pictures: processor, memory, distribution, kernel; of a fleet, of each
    kind of host, with how many there are."""
    if "hosts" in found:
        counts = Counter(host["id"] for host in found["hosts"])
        kinds = describe_each(found)
        return "; ".join(f"{n} of host {id}: {kinds[id]}" for id, n in counts.items())
    gib = found["memory"]["total"] / 2**30
    where = "virtual machine, " if found["kernel"]["virtual_machine"] else ""
    return (
        f"{where}{found['cpu']['usable']} × {found['cpu']['model']}, {gib:.0f} GiB, "
        f"{found['distribution']}, Linux {found['kernel']['release']}"
    )


def _cpu_field(name: str) -> str | None:
    for line in (_text("/proc/cpuinfo") or "").splitlines():
        key, _, value = line.partition(":")
        if key.strip() == name:
            return value.strip()
    return None


def _cpu_flags() -> set[str]:
    return set((_cpu_field("flags") or _cpu_field("Features") or "").split())


def _chosen(path: str) -> str | None:
    """Return the value in brackets of a file such as "always [madvise] never"."""
    found = re.search(r"\[(\w+)\]", _text(path) or "")
    return found.group(1) if found else None


def _text(path: str) -> str | None:
    try:
        return Path(path).read_text().strip()
    except OSError:
        return None


def _package(name: str) -> str | None:
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return None


def _first_line(command: tuple[str, ...]) -> str | None:
    if shutil.which(command[0]) is None:
        return None
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=5)
    except (OSError, subprocess.TimeoutExpired):
        return None
    lines = done.stdout.splitlines()
    return lines[0].strip() if lines else None
