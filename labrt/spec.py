"""The declared form of a container: what it is, before anything happens.

Field names and meanings follow the OCI runtime specification
(https://github.com/opencontainers/runtime-spec, config.md and config-linux.md). Resources use
cgroup v2's own file names, as the specification's `linux.resources.unified` does.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal

NamespaceType = Literal["mount", "pid", "network", "ipc", "uts", "cgroup", "user"]
ALL_NAMESPACES: tuple[NamespaceType, ...] = (
    "user",
    "mount",
    "pid",
    "network",
    "ipc",
    "uts",
    "cgroup",
)


@dataclass(frozen=True)
class Process:
    """`process`: the program that becomes pid 1 of the container."""

    args: tuple[str, ...]
    env: tuple[str, ...] = ("PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",)
    cwd: str = "/"
    uid: int = 0
    gid: int = 0
    no_new_privileges: bool = True


@dataclass(frozen=True)
class IdMapping:
    """`linux.uidMappings[]`: `size` ids from `container_id` are `host_id`… outside."""

    container_id: int
    host_id: int
    size: int


@dataclass(frozen=True)
class Root:
    """`root`: overlayfs layers, lowest first, and whether the result is read-only."""

    layers: tuple[str, ...]
    readonly: bool = False


@dataclass(frozen=True)
class Spec:
    """One container.

    Attributes:
        id: unique among the lab's containers; names its folder and its cgroup.
        image_digest: the manifest digest ("sha256:…") the root's layers come from.
        state_dir: the host folder that holds this container's upper layer and mount point.
        cgroup: its cgroup, "labrt/ID", or "" where the host gives this user none.
        resources: cgroup v2 file name → value to write, e.g. {"memory.max": "268435456"}.
    """

    id: str
    image_digest: str
    state_dir: str
    hostname: str
    process: Process
    root: Root
    namespaces: tuple[NamespaceType, ...] = ALL_NAMESPACES
    uid_mappings: tuple[IdMapping, ...] = ()
    gid_mappings: tuple[IdMapping, ...] = ()
    cgroup: str = ""
    resources: dict[str, str] = field(default_factory=dict)

    @staticmethod
    def from_json(data: dict[str, Any]) -> Spec:
        """Return a spec from the parsed text of `json.dumps(spec, default=vars)`.

        Raises:
            TypeError, KeyError: a field is missing or unknown.
        """
        process, root = data["process"], data["root"]
        plain = {
            "process": Process(**{**process, **_tuples(process, "args", "env")}),
            "root": Root(**{**root, **_tuples(root, "layers")}),
            "uid_mappings": tuple(IdMapping(**mapping) for mapping in data["uid_mappings"]),
            "gid_mappings": tuple(IdMapping(**mapping) for mapping in data["gid_mappings"]),
        }
        return Spec(**{**data, **_tuples(data, "namespaces"), **plain})


def _tuples(data: dict[str, Any], *names: str) -> dict[str, tuple[Any, ...]]:
    """JSON has only lists; these fields are tuples."""
    return {name: tuple(data[name]) for name in names}
