"""Declaring a container of a bundle: from `config.json` to a `Spec`, field by field.

The runtime specification, config.md and config-linux.md, in its order. What each field becomes is
in docs/oci.md, which a test holds against the specification's own list.
"""

from __future__ import annotations

import re
import time
from pathlib import Path

from labrt import capabilities, state
from labrt.bundle import filesystems, resources
from labrt.bundle.reading import U32, Value
from labrt.errors import LabError
from labrt.spec import (
    Capabilities,
    IdMapping,
    Life,
    Namespace,
    NamespaceType,
    Network,
    Process,
    Rlimit,
    Root,
    Spec,
)

_NAMESPACES: dict[str, NamespaceType] = {
    name: name for name in ("user", "mount", "pid", "network", "ipc", "uts", "cgroup", "time")
}
_ID = r"[\w+.-]+"  # as runc has it


def declare(container_id: str, bundle: Path, config: Value) -> Spec:
    """Declare the container of a bundle; nothing happens yet.

    Raises:
        LabError: a value that is none, or one that the lab or this host can't fulfil.
    """
    check_id(container_id)
    _check_version(config["ociVersion"])
    linux = config["linux"]
    spaces = _namespaces(linux)
    return Spec(
        id=container_id,
        image_digest="",
        state_dir=str(state.containers_dir() / container_id),
        hostname=config["hostname"].text(""),
        process=process(config["process"]),
        root=_root(bundle, config["root"]),
        life=Life(
            name=container_id,
            image=str(bundle),
            created=time.time(),
            detached=True,
            waits=True,
            remove=False,
        ),
        namespaces=spaces,
        uid_mappings=_mappings(linux["uidMappings"]),
        gid_mappings=_mappings(linux["gidMappings"]),
        mounts=filesystems.mounts(bundle, config["mounts"]),
        masked_paths=linux["maskedPaths"].texts(),
        readonly_paths=linux["readonlyPaths"].texts(),
        seccomp=_seccomp(linux["seccomp"]),
        sysctl={name: value.text() for name, value in linux["sysctl"].items()},
        network=Network(),
        cgroup=resources.cgroup(container_id, linux["cgroupsPath"]),
        resources=resources.files(linux["resources"]),
    )


def check_id(container_id: str) -> None:
    """Refuse an id that could name a folder elsewhere.

    Raises:
        LabError: it could.
    """
    if not re.fullmatch(_ID, container_id) or container_id in (".", ".."):
        raise LabError(
            f"call a container {container_id!r}", "letters, digits and _ + - . are an id"
        )


def _check_version(told: Value) -> None:
    if not re.match(r"1\.\d+\.\d+", told.text()):
        raise told.wrong(f"{told.data!r} is none of the versions 1.x")


def process(told: Value) -> Process:
    """Declare a process, of config.json or of a file for `exec --process`.

    Raises:
        LabError: as `declare`.
    """
    user = told["user"]
    args = told["args"].texts()
    if not args:
        raise told["args"].wrong("there is nothing to run")
    cwd = told["cwd"].text()
    if not cwd.startswith("/"):
        raise told["cwd"].wrong(f"{cwd!r} is not an absolute path")
    return Process(
        args=args,
        env=told["env"].texts(),
        cwd=cwd,
        user=f"{user['uid'].number(0)}:{user['gid'].number(0)}",
        additional_groups=tuple(str(each.number()) for each in user["additionalGids"]),
        only_these_groups=True,
        umask=user["umask"].number(0o022, high=0o777),
        terminal=told["terminal"].flag(),
        no_new_privileges=told["noNewPrivileges"].flag(),
        capabilities=_capabilities(told["capabilities"]),
        rlimits=tuple(map(_rlimit, told["rlimits"])),
        oom_score_adj=told["oomScoreAdj"].number(0, -1000, 1000) if told["oomScoreAdj"] else None,
    )


def _capabilities(told: Value) -> Capabilities:
    """Unknown ones are left out, as the specification allows: an engine may know more of them. So
    are ambient ones that aren't inheritable and permitted, too: the kernel has no such thing."""
    sets = {
        name: tuple(cap for cap in told[name].texts() if cap in capabilities.NUMBERS)
        for name in ("bounding", "effective", "permitted", "inheritable", "ambient")
    }
    possible = {*sets["inheritable"]} & {*sets["permitted"]}
    sets["ambient"] = tuple(cap for cap in sets["ambient"] if cap in possible)
    return Capabilities(**sets)


def _rlimit(told: Value) -> Rlimit:
    highest = (1 << 64) - 1
    soft, hard = (told[name].number(high=highest) for name in ("soft", "hard"))
    return Rlimit(told["type"].text(), *(-1 if n == highest else n for n in (soft, hard)))


def _root(bundle: Path, told: Value) -> Root:
    path = bundle / told["path"].text()
    if not path.is_dir():
        raise told["path"].wrong(f"{path} is no folder")
    return Root(path=str(path.resolve()), readonly=told["readonly"].flag())


def _namespaces(linux: Value) -> tuple[Namespace, ...]:
    found = [
        Namespace(_NAMESPACES[each["type"].choice(_NAMESPACES)], each["path"].text(""))
        for each in linux["namespaces"]
    ]
    if len({each.type for each in found}) < len(found):
        raise linux["namespaces"].wrong("one is there twice")
    return tuple(found)


def _mappings(told: Value) -> tuple[IdMapping, ...]:
    return tuple(
        IdMapping(
            each["containerID"].number(high=U32 - 1),
            each["hostID"].number(high=U32 - 1),
            each["size"].number(low=1),
        )
        for each in told
    )


def _seccomp(told: Value) -> str:
    import json

    return json.dumps(told.data, separators=(",", ":")) if told else ""
