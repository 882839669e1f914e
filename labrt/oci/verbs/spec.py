"""`labrt-oci spec`: write a config.json to begin with, a shell in rootfs/."""

from __future__ import annotations

import json
import os
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from labrt.errors import LabError
from labrt.mounts import MASKED_PATHS, READONLY_PATHS
from labrt.oci.words import Option
from labrt.spec import VERSION

HELP = "write a config.json to begin with"
OPTIONS = (
    Option("bundle", "the bundle's folder; default: this one", "DIR", short="b", default="."),
    Option("rootless", "for a user without root: their own id is root in it"),
)
OPERANDS = ""
_CAPABILITIES = ["CAP_AUDIT_WRITE", "CAP_KILL", "CAP_NET_BIND_SERVICE"]
_SAFE = ["nosuid", "noexec", "nodev"]


def main(given: SimpleNamespace) -> int:
    file = Path(given.bundle) / "config.json"
    try:
        with open(file, "x") as out:
            json.dump(template(given.rootless), out, indent=4)
            out.write("\n")
    except FileExistsError:
        remedy = "remove it first"
        raise LabError(f"write {file}", "there is one already", remedy=remedy) from None
    return 0


def template(rootless: bool) -> dict[str, Any]:
    """Return the config."""
    kinds = ["pid", "ipc", "uts", "mount", "cgroup", *(["user"] if rootless else ["network"])]
    linux: dict[str, Any] = {
        "namespaces": [{"type": kind} for kind in kinds],
        "maskedPaths": list(MASKED_PATHS),
        "readonlyPaths": list(READONLY_PATHS),
    }
    if rootless:
        linux["uidMappings"] = [{"containerID": 0, "hostID": os.geteuid(), "size": 1}]
        linux["gidMappings"] = [{"containerID": 0, "hostID": os.getegid(), "size": 1}]
    else:
        linux["resources"] = {"devices": [{"allow": False, "access": "rwm"}]}
    return {
        "ociVersion": VERSION,
        "process": _process(),
        "root": {"path": "rootfs", "readonly": True},
        "hostname": "labrt",
        "mounts": _mounts(rootless),
        "linux": linux,
    }


def _process() -> dict[str, Any]:
    sets = ("bounding", "effective", "permitted")
    return {
        "terminal": True,
        "user": {"uid": 0, "gid": 0},
        "args": ["sh"],
        "env": ["PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "TERM=xterm"],
        "cwd": "/",
        "capabilities": {name: _CAPABILITIES for name in sets},
        "rlimits": [{"type": "RLIMIT_NOFILE", "hard": 1024, "soft": 1024}],
        "noNewPrivileges": True,
    }


def _mounts(rootless: bool) -> list[dict[str, Any]]:
    """A user's container shares the host's network, so the host's /sys is bound, not mounted anew:
    sysfs shows a network namespace, and only who owns that may mount it (sysfs(5))."""
    terminals = ["nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620"]
    sysfs = _mount("/sys", "sysfs", "sysfs", [*_SAFE, "ro"])
    if rootless:
        sysfs = _mount("/sys", "none", "/sys", ["rbind", *_SAFE, "ro"])
    memory = ["nosuid", "strictatime", "mode=755", "size=65536k"]
    return [
        _mount("/proc", "proc", "proc", []),
        _mount("/dev", "tmpfs", "tmpfs", memory),
        _mount("/dev/pts", "devpts", "devpts", terminals + ([] if rootless else ["gid=5"])),
        _mount("/dev/shm", "tmpfs", "shm", [*_SAFE, "mode=1777", "size=65536k"]),
        _mount("/dev/mqueue", "mqueue", "mqueue", _SAFE),
        sysfs,
        *([] if rootless else [_mount("/sys/fs/cgroup", "cgroup", "cgroup", [*_SAFE, "ro"])]),
    ]


def _mount(destination: str, kind: str, source: str, options: list[str]) -> dict[str, Any]:
    return {"destination": destination, "type": kind, "source": source, "options": options}
