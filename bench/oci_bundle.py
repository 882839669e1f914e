"""The same container for another runtime: a labrt spec as an OCI bundle (config.json and a root).

The spec has the runtime specification's own words, so most of this is copying
(https://github.com/opencontainers/runtime-spec, config.md and config-linux.md): the same program,
namespaces, id maps, capabilities, seccomp rules, mounts, masks and limits. What differs favours the
other runtime: its root is an overlay that was mounted beforehand, and nobody removes what it wrote.
"""

from __future__ import annotations

import json
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from labrt import paths, seccomp, syscalls
from labrt.errors import LabError
from labrt.spec import IdMapping, Mount, Process, Spec

Json = dict[str, Any]


def keep_mounts_private() -> None:
    """From here on, what this process mounts ends with it, even if it is killed.

    Raises:
        LabError: this user may not mount.
    """
    if os.geteuid() != 0:
        raise LabError("mount a bundle's root", "only root may", remedy="run it as root")
    syscalls.unshare(syscalls.CLONE_NEWNS)
    syscalls.mount(None, "/", None, syscalls.MS_REC | syscalls.MS_PRIVATE)


@contextmanager
def mounted(spec: Spec) -> Iterator[Path]:
    """Write the bundle, with its root mounted, for the time of the block.

    Its folder is one that the container's root may walk through, as LAB_HOME need not be.

    Raises:
        LabError: the spec has what this doesn't know how to say.
        OSError: the root can't be mounted.
    """
    folder = Path(tempfile.mkdtemp(prefix="bundle-", dir=paths.run_dir()))
    try:
        write(spec, folder)
        target = str(folder / "rootfs")
        options = root_options(spec, folder)
        syscalls.mount("overlay", target, "overlay", syscalls.MS_NODEV, options)
        try:
            yield folder
        finally:
            syscalls.umount2(target, syscalls.MNT_DETACH)
    finally:
        shutil.rmtree(folder)


def write(spec: Spec, folder: Path, hooks: Json | None = None) -> None:
    """Write the bundle into an empty folder; its root, the folder rootfs, isn't mounted yet.

    Args:
        hooks: what the runtime calls on the way (config.md#posix-platform-hooks).

    Raises:
        LabError: the spec has what this doesn't know how to say.
    """
    folder.chmod(0o711)
    (folder / "config.json").write_text(json.dumps({**config(spec), "hooks": hooks or {}}))
    for name in ("upper", "work", "rootfs"):
        (folder / name).mkdir()
        os.chown(folder / name, spec.uid_mappings[0].host_id, spec.gid_mappings[0].host_id)


def root_options(spec: Spec, folder: Path) -> str:
    """Return overlayfs's options for the bundle's root (mount(8) takes them with -o, too)."""
    lower = ":".join(reversed(spec.root.layers))
    return f"lowerdir={lower},upperdir={folder}/upper,workdir={folder}/work,userxattr,volatile"


def cgroup_name(spec: Spec) -> str:
    """Return the container's cgroup, by its path below each hierarchy: one without a parent that
    would stay behind in hierarchies that labrt doesn't use."""
    return spec.cgroup.replace("/", "-")


def config(spec: Spec) -> Json:
    """Return config.json.

    Raises:
        LabError: a limit that has no other name in the specification.
    """
    return {
        "ociVersion": "1.0.2",
        "hostname": spec.hostname,
        "process": _process(spec.process),
        "root": {"path": "rootfs", "readonly": spec.root.readonly},
        "mounts": [_mount_entry(mount) for mount in spec.mounts],
        "linux": {
            "namespaces": [{"type": ns.type} for ns in spec.namespaces],
            "uidMappings": [_mapping(each) for each in spec.uid_mappings],
            "gidMappings": [_mapping(each) for each in spec.gid_mappings],
            "maskedPaths": list(spec.masked_paths),
            "readonlyPaths": list(spec.readonly_paths),
            "rootfsPropagation": spec.rootfs_propagation,
            "cgroupsPath": f"/{cgroup_name(spec)}",
            "resources": _resources(spec.resources),
            **_seccomp(spec),
        },
    }


def _process(process: Process) -> Json:
    given: Json = {
        "args": list(process.args),
        "env": list(process.env),
        "cwd": process.cwd,
        "user": {"uid": 0, "gid": 0, "umask": process.umask},
        "noNewPrivileges": process.no_new_privileges,
        "rlimits": [vars(each) for each in process.rlimits],
    }
    if process.capabilities:
        given["capabilities"] = vars(process.capabilities)
    return given


def _mapping(mapping: IdMapping) -> Json:
    return {
        "containerID": mapping.container_id,
        "hostID": mapping.host_id,
        "size": mapping.size,
    }


def _mount_entry(mount: Mount) -> Json:
    kind = "cgroup" if mount.type == "cgroup2" else mount.type
    also = ("rbind",) if kind == "bind" else ()
    options = [*also, *mount.options]
    return {**vars(mount), "type": kind, "source": mount.source or kind, "options": options}


def _resources(limits: dict[str, str]) -> Json:
    """The limits by the names that serve cgroup v1, too (config-linux.md#control-groups)."""
    found: Json = {}
    for file, value in limits.items():
        match file:
            case "memory.max":
                found["memory"] = {"limit": int(value)}
            case "cpu.max":
                quota, period = map(int, value.split())
                found["cpu"] = {"quota": quota, "period": period}
            case "pids.max":
                found["pids"] = {"limit": int(value)}
            case "io.max":
                found["blockIO"] = _throttles(value)
            case _:
                raise LabError(
                    f"write {file} into an OCI bundle", "only the usual limits are known"
                )
    return found


def _throttles(io_max: str) -> Json:
    """config-linux.md#block-io: a list for each direction, an entry for each disk."""
    found: Json = {"throttleReadBpsDevice": [], "throttleWriteBpsDevice": []}
    lists = dict(zip(("rbps", "wbps"), found.values(), strict=True))
    for line in io_max.splitlines():
        number, *rates = line.split()
        major, minor = map(int, number.split(":"))
        for key, rate in (each.split("=") for each in rates):
            lists[key].append({"major": major, "minor": minor, "rate": int(rate)})
    return found


def _seccomp(spec: Spec) -> Json:
    """The specification has no rules with conditions, as engines have: those that hold are said."""
    if not spec.seccomp:
        return {}
    profile = json.loads(seccomp.text(spec.seccomp))
    sets = spec.process.capabilities
    bounding = sets.bounding if sets else ()
    rules = [_rule(rule) for rule in profile["syscalls"] if seccomp.applies(rule, bounding)]
    return {"seccomp": {**profile, "syscalls": rules}}


def _rule(rule: Json) -> Json:
    known = ("names", "action", "errnoRet", "args")
    return {name: rule[name] for name in known if name in rule}
