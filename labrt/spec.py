"""The declared form of a container: what it is, before anything happens.

Field names and meanings follow the OCI runtime specification
(https://github.com/opencontainers/runtime-spec, config.md and config-linux.md). Resources use
cgroup v2's own file names, as the specification's `linux.resources.unified` does.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal

VERSION = "1.3.0"  # of the runtime specification that is spoken here

NamespaceType = Literal["user", "mount", "pid", "network", "ipc", "uts", "cgroup", "time"]
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
class Namespace:
    """`linux.namespaces[]`: a new one, or the one that the file `path` stands for.

    Attributes:
        of: name of the container whose it is, where it was asked for so; it has another `path` each
            time that container is started.
    """

    type: NamespaceType
    path: str = ""
    of: str = ""


@dataclass(frozen=True)
class Capabilities:
    """`process.capabilities`: the five sets of capabilities(7), by name ("CAP_CHOWN")."""

    bounding: tuple[str, ...] = ()
    effective: tuple[str, ...] = ()
    permitted: tuple[str, ...] = ()
    inheritable: tuple[str, ...] = ()
    ambient: tuple[str, ...] = ()


@dataclass(frozen=True)
class Rlimit:
    """`process.rlimits[]`: "RLIMIT_NOFILE" and its limits; -1 is RLIM_INFINITY (getrlimit(2))."""

    type: str
    soft: int
    hard: int


@dataclass(frozen=True)
class Scheduler:
    """`process.scheduler`: the attributes of sched_setattr(2); times in nanoseconds."""

    policy: str
    nice: int = 0
    priority: int = 0
    flags: tuple[str, ...] = ()
    runtime: int = 0
    deadline: int = 0
    period: int = 0


@dataclass(frozen=True)
class Process:
    """`process`: the program that becomes pid 1 of the container.

    Attributes:
        capabilities: None leaves what the user namespace gives.
        user: as the user named it ("daemon", "1000:1000"); looked up in the container's own
            /etc/passwd, so the ids are known only there. "" is uid 0.
        additional_groups: by name or number, looked up likewise.
        io_priority: class and level as ioprio_set(2) takes them, None to leave it.
        first_cpus, cpus: of a process that enters: lists of cpuset(7), until it is in the
            container's cgroup and from then on; "" to leave them.
        apparmor, selinux: profile and label that execve(2) gives it, "" for none.
        terminal_size: rows and columns, (0, 0) to leave them.
        only_these_groups: its supplementary groups are `additional_groups` and no others, as the
            OCI has it; else its own group, and those that list it, are among them.
        preserved_fds: how many descriptors, from 3 on, it inherits besides the standard three.
    """

    args: tuple[str, ...]
    env: tuple[str, ...] = ("PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",)
    cwd: str = "/"
    user: str = ""
    additional_groups: tuple[str, ...] = ()
    only_these_groups: bool = False
    umask: int = 0o022
    terminal: bool = False
    no_new_privileges: bool = True
    capabilities: Capabilities | None = None
    rlimits: tuple[Rlimit, ...] = ()
    oom_score_adj: int | None = None
    scheduler: Scheduler | None = None
    io_priority: int | None = None
    first_cpus: str = ""
    cpus: str = ""
    apparmor: str = ""
    selinux: str = ""
    terminal_size: tuple[int, int] = (0, 0)
    preserved_fds: int = 0

    @staticmethod
    def from_json(data: dict[str, Any]) -> Process:
        """Return a process from the parsed text of `json.dumps(process, default=vars)`."""
        process: Process = _restored("process", data)
        return process


@dataclass(frozen=True)
class IdMapping:
    """`linux.uidMappings[]`: `size` ids from `container_id` are `host_id`… outside."""

    container_id: int
    host_id: int
    size: int


@dataclass(frozen=True)
class Root:
    """`root`: overlayfs layers, lowest first, or else the host's folder `path`; whether the result
    is read-only; and whether it is moved over the host's, where pivot_root(2) can't be."""

    layers: tuple[str, ...] = ()
    readonly: bool = False
    path: str = ""
    moved: bool = False


@dataclass(frozen=True)
class Mount:
    """`mounts[]`, in order; options as in mount(8).

    Type "shm" is the /dev/shm of the container whose ipc namespace is joined. Type "bind" takes
    `source` from the host, "volume" from the lab's own folders; both may have a
    propagation as an option ("rslave"), and a volume "copyup": where it is empty, it gets what the
    image has at its place. Type "link" is a symbolic link instead. With mappings of its own, or the
    option "idmap", files of host id `container_id` are `host_id`'s here (mount_setattr(2)).
    """

    destination: str
    type: str
    source: str = ""
    options: tuple[str, ...] = ()
    uid_mappings: tuple[IdMapping, ...] = ()
    gid_mappings: tuple[IdMapping, ...] = ()


@dataclass(frozen=True)
class Device:
    """`linux.devices[]`: a node that the container finds; `type` is "c", "b" or "p" (mknod(2))."""

    path: str
    type: str
    major: int = 0
    minor: int = 0
    mode: int = 0o666
    uid: int = 0
    gid: int = 0


@dataclass(frozen=True)
class DeviceRule:
    """`linux.resources.devices[]`: `type` is "a", "b" or "c", a number of -1 is any, `access` is
    made of "r", "w" and "m". Of all that fit, the last one decides."""

    allow: bool
    type: str = "a"
    major: int = -1
    minor: int = -1
    access: str = "rwm"


@dataclass(frozen=True)
class Hook:
    """A program that is run at a moment of the container's life.

    `timeout` is in seconds, 0 for none.
    """

    path: str
    args: tuple[str, ...] = ()
    env: tuple[str, ...] = ()
    timeout: int = 0


@dataclass(frozen=True)
class Hooks:
    """`hooks`, by their moment, in order."""

    prestart: tuple[Hook, ...] = ()
    create_runtime: tuple[Hook, ...] = ()
    create_container: tuple[Hook, ...] = ()
    start_container: tuple[Hook, ...] = ()
    poststart: tuple[Hook, ...] = ()
    poststop: tuple[Hook, ...] = ()


@dataclass(frozen=True)
class MemoryPolicy:
    """`linux.memoryPolicy`: mode and flags by name, nodes as a list of cpuset(7)."""

    mode: str
    nodes: str = ""
    flags: tuple[str, ...] = ()


@dataclass(frozen=True)
class Port:
    """A published port: `host_ip`:`host` leads to the container's port `container`."""

    host: int
    container: int
    protocol: Literal["tcp", "udp"] = "tcp"
    host_ip: str = "0.0.0.0"


@dataclass(frozen=True)
class Network:
    """What the new network namespace is connected to. (The OCI leaves it to hooks.)

    Attributes:
        mode: "none" (loopback alone), "bridge" (the lab's bridge `name`), "pasta" (a user-mode
            network, rootless). A container in the host's or another's network namespace has no
            Network at all.
        address: asked for ("10.88.0.7"), "" for the next free one.
        names: what other containers of the network may call it.
        dns: name servers, searched domains and options for its resolv.conf(5).
        hosts: "name:address" lines added to its hosts(5).
    """

    mode: Literal["none", "bridge", "pasta"] = "none"
    name: str = ""
    address: str = ""
    names: tuple[str, ...] = ()
    ports: tuple[Port, ...] = ()
    dns: tuple[str, ...] = ()
    dns_search: tuple[str, ...] = ()
    hosts: tuple[str, ...] = ()


@dataclass(frozen=True)
class HealthCheck:
    """A command that is run in a container again and again and says whether it is well.

    Attributes:
        args: the command; () for none.
        interval: seconds between two of them.
        timeout: seconds for one of them.
        start_period: seconds in which a failure doesn't count yet.
        retries: failures in a row until it is called unhealthy.
    """

    args: tuple[str, ...] = ()
    interval: float = 30.0
    timeout: float = 30.0
    start_period: float = 0.0
    retries: int = 3


@dataclass(frozen=True)
class Life:
    """How the container is kept; none of it is the kernel's business. (The OCI has no word for it.)

    Attributes:
        name: unique among this user's containers.
        image: what the user called the image.
        created: seconds since the epoch.
        detached: it outlives the process that asked for it.
        waits: all is made, then its process waits to be started: the OCI's "create" and "start".
        interactive: its standard input stays open, for who attaches.
        remove: nothing of it stays when it ends.
        restart: "no", "always", "on-failure" or "on-failure:N".
    """

    name: str
    image: str = ""
    created: float = 0.0
    detached: bool = False
    waits: bool = False
    interactive: bool = False
    remove: bool = True
    restart: str = "no"
    stop_signal: str = "SIGTERM"
    stop_timeout: float = 10.0
    health: HealthCheck = HealthCheck()
    labels: tuple[str, ...] = ()


@dataclass(frozen=True)
class Spec:
    """One container.

    Attributes:
        id: unique among the lab's containers; names its folder and its cgroup.
        image_digest: the manifest digest ("sha256:…") the root's layers come from.
        hostname: "" where it shares another's uts namespace, and so its name.
        state_dir: the host folder that holds this container's upper layer and mount point.
        mounts: all of them, in order, /proc and /dev included; options as mount(8) spells them.
        seccomp: "" for no filter, "default", or an OCI seccomp profile as JSON text.
        sysctl: file below /proc/sys, dotted → value; only those of its own namespaces.
        time_offsets: "monotonic" and "boottime" → seconds (time_namespaces(7)).
        cgroup: its cgroup, "labrt/ID", or "" where the host gives this user none.
        scoped: whether systemd is to make the cgroup above that one, a scope.
        own_hierarchies: its cgroup's folders in those v1 hierarchies that the lab itself has no use
            for; an engine looks for its containers there, too.
        v1_files: path and text of what v2 has no word for, written in order.
        resources: cgroup v2 file name → value to write, e.g. {"memory.max": "268435456"}.
        skipped: names of steps that are left out, to see what they are for.
        devices: nodes beside the default ones, made or bound.
        device_rules: which devices it may use; () for no rules.
        personality: "LINUX32" for personality(2), "" to leave it.
        init: whether a small init, not the program itself, is pid 1.
        keyring: the name of its session keyring (keyrings(7)), "" for its creator's.
    """

    id: str
    image_digest: str
    state_dir: str
    hostname: str
    process: Process
    root: Root
    life: Life
    namespaces: tuple[Namespace, ...] = tuple(Namespace(name) for name in ALL_NAMESPACES)
    uid_mappings: tuple[IdMapping, ...] = ()
    gid_mappings: tuple[IdMapping, ...] = ()
    mounts: tuple[Mount, ...] = ()
    rootfs_propagation: str = "private"
    masked_paths: tuple[str, ...] = ()
    readonly_paths: tuple[str, ...] = ()
    seccomp: str = ""
    sysctl: dict[str, str] = field(default_factory=dict)
    time_offsets: dict[str, float] = field(default_factory=dict)
    network: Network | None = Network()
    cgroup: str = ""
    scoped: bool = False
    resources: dict[str, str] = field(default_factory=dict)
    init: bool = False
    keyring: str = ""
    skipped: tuple[str, ...] = ()
    domainname: str = ""
    devices: tuple[Device, ...] = ()
    device_rules: tuple[DeviceRule, ...] = ()
    own_hierarchies: tuple[str, ...] = ()
    v1_files: tuple[tuple[str, str], ...] = ()
    hooks: Hooks = Hooks()
    annotations: dict[str, str] = field(default_factory=dict)
    personality: str = ""
    memory_policy: MemoryPolicy | None = None

    def new(self, kind: NamespaceType) -> bool:
        """Whether the container gets a namespace of this kind of its own."""
        return any(ns.type == kind and not ns.path for ns in self.namespaces)

    def joined(self, kind: NamespaceType) -> str:
        """The file of the namespace of this kind that it joins, or ""."""
        return next((ns.path for ns in self.namespaces if ns.type == kind), "")

    def state(self, status: str, pid: int) -> dict[str, Any]:
        """Return the container's state as the specification has it (runtime.md#state)."""
        return {
            "ociVersion": VERSION,
            "id": self.id,
            "status": status,
            "pid": pid,
            "bundle": self.life.image,
            "annotations": self.annotations,
        }

    @property
    def has_name_files(self) -> bool:
        """Whether the lab writes its hosts(5) and the like: not where there is no network and
        nothing was asked for."""
        network = self.network
        return (
            network is None
            or network.mode != "none"
            or bool(network.dns or network.dns_search or network.hosts)
        )

    @property
    def start_fifo(self) -> str:
        """The FIFO that it waits on between create and start (`Life.waits`)."""
        return f"{self.state_dir}/start"

    @property
    def start_failure(self) -> str:
        """Where it tells, once it was started, why its program could not begin."""
        return f"{self.state_dir}/failure"

    @staticmethod
    def from_json(data: dict[str, Any]) -> Spec:
        """Return a spec from the parsed text of `json.dumps(spec, default=vars)`.

        Raises:
            TypeError: a field is missing or unknown.
        """
        return Spec(**{name: _restored(name, value) for name, value in data.items()})


_CLASSES: dict[str, type] = {
    "process": Process,
    "capabilities": Capabilities,
    "rlimits": Rlimit,
    "root": Root,
    "life": Life,
    "health": HealthCheck,
    "namespaces": Namespace,
    "uid_mappings": IdMapping,
    "gid_mappings": IdMapping,
    "mounts": Mount,
    "scheduler": Scheduler,
    "devices": Device,
    "device_rules": DeviceRule,
    "hooks": Hooks,
    **dict.fromkeys(
        (
            "prestart",
            "create_runtime",
            "create_container",
            "start_container",
            "poststart",
            "poststop",
        ),
        Hook,
    ),
    "memory_policy": MemoryPolicy,
    "network": Network,
    "ports": Port,
}


def _restored(name: str, value: Any) -> Any:
    """JSON has only lists and objects; the fields hold tuples and the classes above."""
    if isinstance(value, list):
        return tuple(_restored(name, item) for item in value)
    if isinstance(value, dict) and name in _CLASSES:
        return _CLASSES[name](**{inner: _restored(inner, item) for inner, item in value.items()})
    return value
