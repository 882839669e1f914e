"""The recipe: a container is this list of steps, in this order, and nothing else.

Each step lives in the file of its kernel feature. Run the list and there is a container; read its
undos backwards and there is none; print it and you have `labrt explain`; time it and you have
`labrt run --trace`. Host-side steps before `Clone` prepare; those after it finish what only the
host may do to the child; then the child does its own, up to execve(2).
"""

from __future__ import annotations

from pathlib import Path

from labrt import cgroups, mounts, terminal
from labrt.binds import CloseSources, CreateVolume, MountSource, OpenSharedMemory, OpenSource
from labrt.capabilities import DropBoundingSet, SetCapabilities, SetNoNewPrivileges
from labrt.devices import NODES, BindDevice, LinkDevices
from labrt.errors import LabError
from labrt.init import StayAsInit
from labrt.interpreter import CheckInterpreter, ShieldProcess
from labrt.name_files import BindNameFiles, OpenStateDir, WriteNameFiles, has_name_files
from labrt.namespaces import (
    Clone,
    JoinCgroupNamespace,
    JoinMountNamespace,
    SetHostname,
    UnshareCgroupNamespace,
)
from labrt.network import (
    ConfigureInterface,
    ConnectBridge,
    JoinNetwork,
    PublishPorts,
    RaiseLoopback,
)
from labrt.nsfs import FILES
from labrt.pasta import StartPasta
from labrt.process import (
    ChangeDirectory,
    ConnectStdio,
    DieWithParent,
    Exec,
    FindProgram,
    NewSession,
    PrepareStart,
    ResetSignals,
    SetOomScoreAdj,
    SetUmask,
    WaitForHost,
    WaitForStart,
)
from labrt.rlimits import RaiseHardLimits, SetRlimits
from labrt.seccomp import CompileSeccomp, LoadSeccomp
from labrt.spec import Mount, Namespace, Network, Spec
from labrt.state import ClaimName, CreateStateDir, RecordStart
from labrt.step import Side, Step
from labrt.sysctl import SetSysctl
from labrt.users import BecomeContainerRoot, SwitchUser, WriteIdMap

_FIRST = ("/proc", "/sys", "/dev")  # as long as the host's are in sight


def recipe(spec: Spec) -> list[Step]:
    """Return the steps that make `spec` a running container, without those it skips.

    Raises:
        LabError: a step can't be skipped, or there is none of its name.
    """
    steps = _whole(spec)
    for name in spec.skipped:
        _refuse_to_skip(name, steps, spec)
    return _without_skipped(steps, spec)


def _without_skipped(steps: list[Step], spec: Spec) -> list[Step]:
    return [step for step in steps if step.name not in spec.skipped]


def _refuse_to_skip(name: str, steps: list[Step], spec: Spec) -> None:
    """Skipping is for learning, not for losing the host.

    Raises:
        LabError: it would harm the host or leave no container, or no step has that name.
    """
    tried = f"skip the step {name!r}"
    vital = {step.name: step.vital for step in steps}
    if name not in vital:
        from difflib import get_close_matches

        near = ", ".join(get_close_matches(name, vital))
        remedy = "labrt explain lists them" + (f"; near it are {near}" if near else "")
        raise LabError(tried, "this container has no such step", remedy=remedy)
    if vital[name]:
        raise LabError(tried, f"without it, {vital[name]}")
    if not spec.new("user"):
        raise LabError(
            tried,
            "every step guards the host here",
            "the container's root is another user namespace's",
            "leave --userns out",
        )


def _whole(spec: Spec) -> list[Step]:
    return [
        CreateStateDir(spec),
        *_name(spec),
        *(CreateVolume(mount.source) for mount in spec.mounts if mount.type == "volume"),
        *_cgroup(spec),
        *_network(spec),
        *([WriteNameFiles(spec)] if has_name_files(spec) else []),
        CheckInterpreter(),
        *([CompileSeccomp(spec)] if spec.seccomp else []),
        *([terminal.PrepareTerminal()] if spec.process.terminal else []),
        *([PrepareStart(spec)] if spec.life.waits else []),
        *_sources(spec, "host"),
        Clone(spec.namespaces, _birth_cgroup(spec), spec.time_offsets),
        *([CloseSources()] if _sources(spec, "host") else []),
        RecordStart(spec),
        *_connection(spec),
        *(_identity(spec) if spec.new("user") else []),
        *([StartPasta(spec)] if spec.network and spec.network.mode == "pasta" else []),
        *([RaiseHardLimits(rlimits)] if (rlimits := spec.process.rlimits) else []),
        *([SetOomScoreAdj(score)] if (score := spec.process.oom_score_adj) is not None else []),
        # From here on, in the child; side by side with the host until WaitForHost.
        NewSession(),
        *_join_v1(spec),
        *([UnshareCgroupNamespace()] if spec.new("cgroup") else []),
        *_sources(spec, "container"),
        *_shared_memory(spec),
        *_join_cgroup_namespace(spec.joined("cgroup")),
        mounts.MakeMountsPrivate(),
        mounts.EnterStateDir(spec.state_dir),
        *([OpenStateDir()] if has_name_files(spec) else []),
        WaitForHost(),
        ShieldProcess(),
        *(SetSysctl(name, value) for name, value in spec.sysctl.items()),
        BecomeContainerRoot(spec.gid_mappings),
        *([SetHostname(spec.hostname)] if spec.hostname else []),
        _mount_root(spec),
        mounts.PivotRoot(),
        *(_mount(mount) for mount in spec.mounts if mount.destination in _FIRST),
        *([BindNameFiles()] if has_name_files(spec) else []),
        *_devices(spec),
        mounts.DetachOldRoot(),
        *(_mount(mount) for mount in spec.mounts if mount.destination not in _FIRST),
        *(mounts.MaskPath(path) for path in spec.masked_paths),
        *(mounts.MakeReadOnly(path) for path in spec.readonly_paths),
        *([mounts.MakeRootReadOnly()] if spec.root.readonly else []),
        *_root_propagation(spec),
        *([RaiseLoopback()] if spec.new("network") else []),
        *([ConfigureInterface()] if _bridged(spec) else []),
        *_become_program(spec),
    ]


def entering(spec: Spec, pid: int) -> list[Step]:
    """Return the steps that start `spec.process` in the running container whose first process is
    `pid`, under the same limits, capabilities and filter: `labrt exec`."""
    process = spec.process
    steps: list[Step] = [
        CheckInterpreter(),
        *([CompileSeccomp(spec)] if spec.seccomp else []),
        *([terminal.PrepareTerminal()] if process.terminal else []),
        Clone(_namespaces_of(spec, pid), _birth_cgroup(spec)),
        *([RaiseHardLimits(rlimits)] if (rlimits := process.rlimits) else []),
        *([SetOomScoreAdj(score)] if (score := process.oom_score_adj) is not None else []),
        NewSession(),
        *_join_v1(spec),
        *_join_cgroup_namespace(f"/proc/{pid}/ns/cgroup" if _has_cgroup_namespace(spec) else ""),
        WaitForHost(),
        ShieldProcess(),
        BecomeContainerRoot(spec.gid_mappings),
        JoinMountNamespace(f"/proc/{pid}/ns/mnt"),
        *_become_program(spec),
    ]
    return _without_skipped(steps, spec)


def visiting_running(spec: Spec, pid: int, work: Step) -> list[Step]:
    """Return the steps of a process that does `work` on the files of the running container whose
    first process is `pid`, as its root and confined to its mounts: `labrt cp`."""
    user = tuple(ns for ns in _namespaces_of(spec, pid) if ns.type == "user")
    return [
        Clone(user, None),
        WaitForHost(),
        ShieldProcess(),
        BecomeContainerRoot(spec.gid_mappings),
        DieWithParent(),
        JoinMountNamespace(f"/proc/{pid}/ns/mnt"),
        work,
    ]


def visiting_stopped(spec: Spec, work: Step) -> list[Step]:
    """The same for a container that doesn't run: its root and its volumes are mounted again."""
    spaces = tuple(ns for ns in spec.namespaces if ns.type in ("user", "mount"))
    return [
        *_sources(spec, "host"),
        Clone(spaces, None),
        *([CloseSources()] if _sources(spec, "host") else []),
        *(_identity(spec) if spec.new("user") else []),
        *_sources(spec, "container"),
        mounts.MakeMountsPrivate(),
        mounts.EnterStateDir(spec.state_dir),
        WaitForHost(),
        ShieldProcess(),
        BecomeContainerRoot(spec.gid_mappings),
        DieWithParent(),
        _mount_root(spec),
        mounts.PivotRoot(),
        mounts.DetachOldRoot(),
        *(MountSource(mount) for mount in spec.mounts if mount.type in ("bind", "volume")),
        *([mounts.MakeRootReadOnly()] if spec.root.readonly else []),
        work,
    ]


def visiting_changes(spec: Spec, work: Step) -> list[Step]:
    """Return the steps of a process that does `work` in the folder of a container that doesn't run,
    with the container's ids: there `upper` holds what it has changed, owned as it sees it."""
    return [
        Clone(tuple(ns for ns in spec.namespaces if ns.type == "user"), None),
        *(_identity(spec) if spec.new("user") else []),
        mounts.EnterStateDir(spec.state_dir),
        WaitForHost(),
        ShieldProcess(),
        BecomeContainerRoot(spec.gid_mappings),
        DieWithParent(),
        work,
    ]


def _become_program(spec: Spec) -> list[Step]:
    """The last steps of a start and of an entry are the same: give up rights, then execve(2)."""
    process, rlimits = spec.process, spec.process.rlimits
    return [
        SetUmask(process.umask),
        ChangeDirectory(process.cwd),
        *([LoadSeccomp()] if spec.seccomp and not process.no_new_privileges else []),
        *([DropBoundingSet(sets)] if (sets := process.capabilities) else []),
        SwitchUser(process, spec.gid_mappings),
        *([SetCapabilities(sets)] if sets else []),
        *([SetNoNewPrivileges()] if process.no_new_privileges else []),
        *([] if spec.life.detached else [DieWithParent()]),
        ResetSignals(),
        *([terminal.OpenTerminal()] if process.terminal else []),
        ConnectStdio(),
        *([SetRlimits(rlimits)] if rlimits else []),
        *([FindProgram(process), WaitForStart()] if spec.life.waits else []),
        *([LoadSeccomp()] if spec.seccomp and process.no_new_privileges else []),
        *([StayAsInit()] if spec.init else []),
        Exec(process),
    ]


def _namespaces_of(spec: Spec, pid: int) -> tuple[Namespace, ...]:
    """Every namespace of the container, to be joined."""
    return tuple(Namespace(ns.type, f"/proc/{pid}/ns/{FILES[ns.type]}") for ns in spec.namespaces)


def _name(spec: Spec) -> list[Step]:
    return [ClaimName(spec.life.name, spec.id)] if spec.life.name != spec.id else []


def _cgroup(spec: Spec) -> list[Step]:
    if not spec.cgroup:
        return []
    return [
        cgroups.CreateCgroup(spec.cgroup),
        *(cgroups.SetLimit(spec.cgroup, file, value) for file, value in spec.resources.items()),
    ]


def _sources(spec: Spec, side: Side) -> list[Step]:
    root = [Mount("/", "bind", spec.root.path)] if spec.root.path else []
    binds = [mount for mount in spec.mounts if mount.type in ("bind", "volume")]
    opened = [OpenSource(mount) for mount in root + binds]
    return [step for step in opened if step.side == side]


def _mount_root(spec: Spec) -> Step:
    if spec.root.path:
        return mounts.MountRoot(spec.root.path)
    return mounts.MountOverlay(spec.root.layers, spec.state_dir, volatile=spec.life.remove)


def _shared_memory(spec: Spec) -> list[Step]:
    path = spec.joined("ipc").removesuffix("ipc") + "mnt"
    shared = [mount.destination for mount in spec.mounts if mount.type == "shm"]
    return [OpenSharedMemory(destination, path) for destination in shared]


def _mount(mount: Mount) -> Step:
    opened = mount.type in ("bind", "volume", "shm")
    return MountSource(mount) if opened else mounts.MountFilesystem(mount)


def _devices(spec: Spec) -> list[Step]:
    if any(mount.destination == "/dev" and mount.type == "bind" for mount in spec.mounts):
        return []  # somebody else's /dev is theirs
    return [*map(BindDevice, NODES), LinkDevices(spec.process.terminal)]


def _root_propagation(spec: Spec) -> list[Step]:
    asked = spec.rootfs_propagation
    return [] if asked == "private" else [mounts.SetRootPropagation(asked)]


def _bridged(spec: Spec) -> Network | None:
    return spec.network if spec.network and spec.network.mode == "bridge" else None


def _network(spec: Spec) -> list[Step]:
    return [JoinNetwork(spec, network)] if (network := _bridged(spec)) else []


def _connection(spec: Spec) -> list[Step]:
    if not (network := _bridged(spec)):
        return []
    ports = network.ports
    return [ConnectBridge(spec, network), *([PublishPorts(spec, ports)] if ports else [])]


def _birth_cgroup(spec: Spec) -> Path | None:
    return cgroups.Cgroup(spec.cgroup).birth_folder() if spec.cgroup else None


def _join_v1(spec: Spec) -> list[Step]:
    if not spec.cgroup or not cgroups.layout().v1:
        return []
    return [cgroups.JoinV1Cgroup(spec.cgroup)]


def _join_cgroup_namespace(path: str) -> list[Step]:
    return [JoinCgroupNamespace(path)] if path else []


def _has_cgroup_namespace(spec: Spec) -> bool:
    return spec.new("cgroup") or spec.joined("cgroup") != ""


def _identity(spec: Spec) -> list[Step]:
    return [WriteIdMap("gid", spec.gid_mappings), WriteIdMap("uid", spec.uid_mappings)]
