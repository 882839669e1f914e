"""The recipe: a container is this list of steps, in this order, and nothing else.

Each step lives in the file of its kernel feature. Run the list and there is a container; read its
undos backwards and there is none; print it and you have `labrt explain`; time it and you have
`labrt run --trace`. Host-side steps before `Clone` prepare; those after it finish what only the
host may do to the child; then the child does its own, up to execve(2).
"""

from __future__ import annotations

from collections.abc import Callable, Hashable
from dataclasses import replace
from functools import lru_cache
from pathlib import Path

from labrt import cgroups, devices, hierarchies, hooks, mount_options, mounts
from labrt.binds import (
    CloseSources,
    CreateVolume,
    MountCopyingTmpfs,
    MountSource,
    OpenSharedMemory,
    OpenSource,
)
from labrt.capabilities import DropBoundingSet, SetCapabilities, SetNoNewPrivileges
from labrt.device_rules import AttachDeviceProgram, DenyDevices
from labrt.devices import NODES, BindDevice, LinkDevices
from labrt.errors import LabError
from labrt.idmapped import MapSource
from labrt.init import StayAsInit
from labrt.interpreter import CheckInterpreter, ShieldProcess
from labrt.keyrings import JoinSessionKeyring, right_to_find
from labrt.labels import OpenAttributes, SetLabel
from labrt.loopback import RaiseLoopback
from labrt.memory_policy import SetMemoryPolicy
from labrt.moved_root import HideKernel, MakeMountsSlaves, MoveRoot
from labrt.namespaces import (
    Clone,
    JoinCgroupNamespace,
    JoinMountNamespace,
    SetDomainname,
    SetHostname,
    UnshareCgroupNamespace,
)
from labrt.nsfs import FILES
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
    SetPersonality,
    SetUmask,
    WaitForHost,
    WaitForStart,
)
from labrt.rlimits import RaiseHardLimits, SetRlimits
from labrt.scheduler import SetAffinity, SetIoPriority, SetScheduler
from labrt.seccomp import CompileSeccomp, LoadSeccomp
from labrt.spec import Device, Hooks, Mount, Namespace, Network, Process, Spec
from labrt.state import ClaimName, CreateStateDir, RecordStart
from labrt.step import Side, Step
from labrt.sysctl import SetSysctl
from labrt.users import BecomeContainerRoot, SwitchUser, WriteIdMap

_FIRST = ("/proc", "/sys", "/dev")  # as long as the host's are in sight


@lru_cache(maxsize=1024)
def _same(step: Callable[..., Step], *arguments: Hashable) -> Step:
    """Return a step that is the same in many containers: it is made once, and so are its calls."""
    return step(*arguments)


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
        *([hooks.RunPoststop(spec)] if spec.hooks.poststop else []),
        CreateStateDir(spec),
        *_name(spec),
        *(CreateVolume(mount.source) for mount in spec.mounts if mount.type == "volume"),
        *_cgroup(spec),
        *_network(spec),
        *_named(spec, "WriteNameFiles", spec),
        CheckInterpreter(),
        *([CompileSeccomp(spec)] if spec.seccomp else []),
        *_terminal(spec.process, "PrepareTerminal"),
        *([PrepareStart(spec)] if spec.life.waits else []),
        *_sources(spec, "host"),
        Clone(spec.namespaces, _birth_cgroup(spec), spec.time_offsets),
        *([CloseSources()] if _sources(spec, "host") else []),
        RecordStart(spec),
        *_scope(spec, "LeaveScope"),
        *_connection(spec),
        *(_identity(spec) if spec.new("user") else []),
        *_pasta(spec),
        *_given_by_host(spec.process),
        *_hooks_of_host(spec),
        # From here on, in the child; side by side with the host until WaitForHost.
        _same(NewSession),
        *_join_v1(spec),
        *([_same(UnshareCgroupNamespace)] if spec.new("cgroup") else []),
        *_sources(spec, "container"),
        *_shared_memory(spec),
        *_join_cgroup_namespace(spec.joined("cgroup")),
        *_opened_attributes(spec.process),
        *_supervisor(spec),
        *([_apart(spec)] if spec.new("mount") else []),
        *([] if spec.root.path else _enter_folder(spec)),
        *_named(spec, "OpenStateDir"),
        WaitForHost(),
        *(_enter_folder(spec) if spec.root.path else []),
        _same(ShieldProcess),
        *(SetSysctl(name, value) for name, value in spec.sysctl.items()),
        _same(BecomeContainerRoot, spec.gid_mappings),
        *_keyring(spec, right_to_find(spec.new("user"))),
        *([SetHostname(spec.hostname)] if spec.hostname else []),
        *([SetDomainname(spec.domainname)] if spec.domainname else []),
        *_files(spec),
        *_masks(spec),
        *(_same(mounts.MakeReadOnly, path) for path in spec.readonly_paths),
        *([_same(mounts.MakeRootReadOnly)] if spec.root.readonly else []),
        *_root_propagation(spec),
        *([_same(RaiseLoopback)] if spec.new("network") else []),
        *_configuration(spec),
        *_become_program(spec),
    ]


def _given_by_host(process: Process) -> list[Step]:
    """What takes rights over the host to be given to a process."""
    rlimits, score = process.rlimits, process.oom_score_adj
    return [
        *([RaiseHardLimits(rlimits)] if rlimits else []),
        *([SetOomScoreAdj(score)] if score is not None else []),
        *([SetScheduler(process.scheduler)] if process.scheduler else []),
        *([SetIoPriority(process.io_priority)] if process.io_priority is not None else []),
    ]


def _opened_attributes(process: Process) -> list[Step]:
    return [OpenAttributes(process)] if process.apparmor or process.selinux else []


def _enter_folder(spec: Spec) -> list[Step]:
    """A bundle's root may lie below a folder of one of the container's users: to pass through takes
    rights over that user, and so the id map, for which `WaitForHost` waits."""
    if not spec.new("mount"):
        return []
    return [mounts.EnterStateDir(spec.root.path or spec.state_dir)]


def _files(spec: Spec) -> list[Step]:
    """From the host's tree of files to the container's own."""
    if not spec.root.path:
        return _files_of_image(spec)
    return _files_of_bundle(spec) if spec.new("mount") else _files_of_others(spec)


def _files_of_image(spec: Spec) -> list[Step]:
    return [
        _mount_root(spec),
        _same(mounts.PivotRoot),
        *(_mount(mount) for mount in spec.mounts if mount.destination in _FIRST),
        *_named(spec, "BindNameFiles"),
        *_devices(spec),
        _same(mounts.DetachOldRoot),
        *(_mount(mount) for mount in spec.mounts if mount.destination not in _FIRST),
    ]


def _files_of_bundle(spec: Spec) -> list[Step]:
    """Mounts in the order in which they are listed, all before pivot_root: the specification and
    its hooks want it so."""
    return [
        _mount_root(spec),
        _same(mounts.EnterRoot),
        *map(_mount, map(_writable, spec.mounts)),
        *_devices_of_bundle(spec),
        *(mounts.MakeMountReadOnly("/dev") for each in spec.mounts if each != _writable(each)),
        mounts.LeaveRoot(),
        *_hooks_before_pivot(spec),
        *_leave_host(spec),
    ]


def _apart(spec: Spec) -> Step:
    return _same(MakeMountsSlaves if spec.root.moved else mounts.MakeMountsPrivate)


def _leave_host(spec: Spec) -> list[Step]:
    if spec.root.moved:
        return [HideKernel(), MoveRoot()]
    return [_same(mounts.PivotRoot, "."), _same(mounts.DetachOldRoot)]


def _writable(mount: Mount) -> Mount:
    """Nodes can be made in a read-only /dev only before it is so."""
    if mount.destination != "/dev" or mount.type == "bind":
        return mount
    return replace(mount, options=tuple(word for word in mount.options if word != "ro"))


def _files_of_others(spec: Spec) -> list[Step]:
    """In a mount namespace that isn't its own."""
    return [
        *_hooks_before_pivot(spec),
        mounts.ChangeRoot(spec.root.path, spec.joined("mount")),
        *map(devices.CreateDevice, _nodes(spec)),
    ]


def _hooks_of_host(spec: Spec) -> list[Step]:
    asked = spec.hooks
    ours = [
        *(hooks.RunHook("prestart", hook) for hook in asked.prestart),
        *(hooks.RunHook("createRuntime", hook) for hook in asked.create_runtime),
    ]
    return [hooks.AwaitMounts(), *ours] if ours else []


def _hooks_before_pivot(spec: Spec) -> list[Step]:
    return [
        *([hooks.Meet()] if spec.hooks.prestart or spec.hooks.create_runtime else []),
        *(hooks.RunHook("createContainer", hook) for hook in spec.hooks.create_container),
    ]


def entering(spec: Spec, pid: int) -> list[Step]:
    """Return the steps that start `spec.process` in the running container whose first process is
    `pid`, under the same limits, capabilities and filter: `labrt exec`."""
    spec = replace(spec, hooks=Hooks())  # they have run
    process = spec.process
    steps: list[Step] = [
        CheckInterpreter(),
        *([CompileSeccomp(spec)] if spec.seccomp else []),
        *_terminal(process, "PrepareTerminal"),
        Clone(_namespaces_of(spec, pid), _birth_cgroup(spec)),
        *_given_by_host(process),
        _same(NewSession),
        *([SetAffinity(process.first_cpus)] if process.first_cpus else []),
        *_join_v1(spec),
        *([SetAffinity(process.cpus)] if process.cpus else []),
        *_join_cgroup_namespace(f"/proc/{pid}/ns/cgroup" if _has_cgroup_namespace(spec) else ""),
        *_opened_attributes(process),
        *_supervisor(spec),
        WaitForHost(),
        _same(ShieldProcess),
        _same(BecomeContainerRoot, spec.gid_mappings),
        *_keyring(spec),
        _join_files(spec, pid),
        *_become_program(spec),
    ]
    return _without_skipped(steps, spec)


def _join_files(spec: Spec, pid: int) -> Step:
    space = f"/proc/{pid}/ns/mnt"
    if spec.new("mount"):
        return JoinMountNamespace(space)
    return mounts.ChangeRoot(f"/proc/{pid}/root", space if spec.joined("mount") else "")


def visiting_running(spec: Spec, pid: int, work: Step) -> list[Step]:
    """Return the steps of a process that does `work` on the files of the running container whose
    first process is `pid`, as its root and confined to its mounts: `labrt cp`."""
    user = tuple(ns for ns in _namespaces_of(spec, pid) if ns.type == "user")
    return [
        Clone(user, None),
        WaitForHost(),
        _same(ShieldProcess),
        _same(BecomeContainerRoot, spec.gid_mappings),
        _same(DieWithParent),
        _join_files(spec, pid),
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
        *_enter_folder(spec),
        WaitForHost(),
        _same(ShieldProcess),
        _same(BecomeContainerRoot, spec.gid_mappings),
        _same(DieWithParent),
        _mount_root(spec),
        mounts.PivotRoot("." if spec.root.path else "merged"),
        _same(mounts.DetachOldRoot),
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
        _same(ShieldProcess),
        _same(BecomeContainerRoot, spec.gid_mappings),
        _same(DieWithParent),
        work,
    ]


def _become_program(spec: Spec) -> list[Step]:
    """The last steps of a start and of an entry are the same: give up rights, then execve(2)."""
    process, rlimits = spec.process, spec.process.rlimits
    return [
        _same(SetUmask, process.umask),
        _same(ChangeDirectory, process.cwd),
        *(_filter(spec) if not process.no_new_privileges else []),
        *([_same(DropBoundingSet, sets)] if (sets := process.capabilities) else []),
        SwitchUser(process, spec.gid_mappings),
        *([SetCapabilities(sets)] if sets else []),
        *([_same(SetNoNewPrivileges)] if process.no_new_privileges else []),
        *([] if spec.life.detached else [_same(DieWithParent)]),
        _same(ResetSignals),
        *_terminal(process, "OpenTerminal", process.terminal_size),
        ConnectStdio(process),
        *([SetMemoryPolicy(spec.memory_policy)] if spec.memory_policy else []),
        *([SetPersonality(spec.personality)] if spec.personality else []),
        *([SetLabel(process)] if process.apparmor or process.selinux else []),
        *([SetRlimits(rlimits)] if rlimits else []),
        *(_filter(spec) if process.no_new_privileges and _supervisor(spec) else []),
        *([FindProgram(process), WaitForStart()] if spec.life.waits else []),
        *(hooks.RunHook("startContainer", hook) for hook in spec.hooks.start_container),
        *(_filter(spec) if process.no_new_privileges and not _supervisor(spec) else []),
        *([StayAsInit()] if spec.init else []),
        Exec(process),
    ]


def _filter(spec: Spec) -> list[Step]:
    if not spec.seccomp:
        return []
    return _supervised("LoadSupervisedSeccomp", spec) or [LoadSeccomp()]


def _supervisor(spec: Spec) -> list[Step]:
    return _supervised("ConnectSupervisor", spec)


def _supervised(name: str, spec: Spec) -> list[Step]:
    """A step of a filter with a supervisor; few have one, and the sockets it takes load slowly."""
    if "SCMP_ACT_NOTIFY" not in spec.seccomp:
        return []
    from labrt import supervision

    return [getattr(supervision, name)(spec)] if supervision.is_supervised(spec) else []


def _namespaces_of(spec: Spec, pid: int) -> tuple[Namespace, ...]:
    """Every namespace of the container, to be joined."""
    return tuple(Namespace(ns.type, f"/proc/{pid}/ns/{FILES[ns.type]}") for ns in spec.namespaces)


def _name(spec: Spec) -> list[Step]:
    return [ClaimName(spec.life.name, spec.id)] if spec.life.name != spec.id else []


def _cgroup(spec: Spec) -> list[Step]:
    if not spec.cgroup:
        return []
    return [
        *_scope(spec, "StartScope"),
        cgroups.CreateCgroup(spec.cgroup),
        *([hierarchies.CreateInHierarchies(others)] if (others := spec.own_hierarchies) else []),
        *(cgroups.SetLimit(spec.cgroup, file, value) for file, value in spec.resources.items()),
        *(hierarchies.WriteCgroupFile(file, text) for file, text in spec.v1_files),
        *_device_rules(spec),
    ]


def _scope(spec: Spec, name: str) -> list[Step]:
    if not spec.scoped:
        return []
    from labrt import scopes  # seldom needed

    return [getattr(scopes, name)(scopes.of(spec.cgroup))]


def _device_rules(spec: Spec) -> list[Step]:
    if not spec.device_rules:
        return []
    if folder := hierarchies.folder("devices", spec.cgroup):
        return [DenyDevices(str(folder), spec.device_rules)]
    born = _birth_cgroup(spec)
    return [AttachDeviceProgram(born, spec.device_rules)] if born else []


def _sources(spec: Spec, side: Side) -> list[Step]:
    binds = [mount for mount in spec.mounts if mount.type in ("bind", "volume")]
    opened = [step for mount in _root_source(spec) + binds for step in _opening(mount)]
    return [step for step in opened if step.side == side]


def _root_source(spec: Spec) -> list[Mount]:
    """A bundle's root, with the propagation that must be its own from the beginning: only a copy of
    a mount that is shared can be a slave of it."""
    if not (spec.root.path and spec.new("mount")):
        return []
    asked = spec.rootfs_propagation
    return [Mount("/", "bind", spec.root.path, (asked,) if asked.endswith("slave") else ())]


def _opening(mount: Mount) -> list[Step]:
    mapped = {*mount.options} & {*mount_options.IDMAPS}
    return [OpenSource(mount), *([MapSource(mount)] if mapped else [])]


def _mount_root(spec: Spec) -> Step:
    if spec.root.path:
        return mounts.MountRoot(spec.root.path)
    return mounts.MountOverlay(spec.root.layers, spec.state_dir, volatile=spec.life.remove)


def _masks(spec: Spec) -> list[Step]:
    masks = [_same(mounts.MaskPath, path) for path in spec.masked_paths]
    return [_same(mounts.OpenNull), *masks] if _without_skipped(masks, spec) else masks


def _shared_memory(spec: Spec) -> list[Step]:
    path = spec.joined("ipc").removesuffix("ipc") + "mnt"
    shared = [mount.destination for mount in spec.mounts if mount.type == "shm"]
    return [OpenSharedMemory(destination, path) for destination in shared]


def _mount(mount: Mount) -> Step:
    if mount.type in ("bind", "volume", "shm"):
        return MountSource(mount)
    if mount.type == "link":
        return mounts.MakeLink(mount)
    if mount_options.COPYUP in mount.options:
        return MountCopyingTmpfs(mount)
    return _same(mounts.MountFilesystem, mount)


def _devices(spec: Spec) -> list[Step]:
    if any(mount.destination == "/dev" and mount.type == "bind" for mount in spec.mounts):
        return []  # somebody else's /dev is theirs
    return [*(_same(BindDevice, node) for node in NODES), _same(LinkDevices, spec.process.terminal)]


def _devices_of_bundle(spec: Spec) -> list[Step]:
    if any(mount.destination == "/dev" and mount.type == "bind" for mount in spec.mounts):
        return []
    process = spec.process
    uid = int(process.user.partition(":")[0] or 0)
    return [
        *(_same(_maker(each, spec), each) for each in _nodes(spec)),
        _same(devices.CompleteDevices),
        *_terminal(process, "BindConsole", uid),
    ]


def _maker(device: Device, spec: Spec) -> Callable[..., Step]:
    bound = device.type != "p" and _has_user_namespace(spec)
    return devices.BindHostDevice if bound else devices.CreateDevice


def _nodes(spec: Spec) -> list[Device]:
    asked = {each.path for each in spec.devices}
    return [*(each for each in devices.DEFAULT if each.path not in asked), *spec.devices]


def _has_user_namespace(spec: Spec) -> bool:
    """Whether the container's root is somebody else on the host, who makes no nodes there."""
    return any(ns.type == "user" for ns in spec.namespaces) or devices.in_user_namespace()


def _root_propagation(spec: Spec) -> list[Step]:
    asked = spec.rootfs_propagation
    return [] if asked == "private" else [mounts.SetRootPropagation(asked)]


def _bridged(spec: Spec) -> Network | None:
    return spec.network if spec.network and spec.network.mode == "bridge" else None


def _keyring(spec: Spec, right: int = 0) -> list[Step]:
    return [JoinSessionKeyring(spec.keyring, right)] if spec.keyring else []


# What follows imports what many containers don't have: networks and their name files take a tenth
# of the time that a whole command may take.


def _network(spec: Spec) -> list[Step]:
    if not (network := _bridged(spec)):
        return []
    from labrt.network import JoinNetwork

    return [JoinNetwork(spec, network)]


def _connection(spec: Spec) -> list[Step]:
    if not (network := _bridged(spec)):
        return []
    from labrt.network import ConnectBridge, PublishPorts

    ports = network.ports
    return [ConnectBridge(spec, network), *([PublishPorts(spec, ports)] if ports else [])]


def _configuration(spec: Spec) -> list[Step]:
    if not _bridged(spec):
        return []
    from labrt.network import ConfigureInterface

    return [ConfigureInterface()]


def _pasta(spec: Spec) -> list[Step]:
    if not spec.network or spec.network.mode != "pasta":
        return []
    from labrt.pasta import StartPasta

    return [StartPasta(spec)]


def _named(spec: Spec, step: str, *arguments: Spec) -> list[Step]:
    """Return a step of the name files, where the container has some."""
    if not spec.has_name_files:
        return []
    from labrt import name_files

    return [getattr(name_files, step)(*arguments)]


def _terminal(process: Process, step: str, *arguments: object) -> list[Step]:
    """Return a step of the terminal, where the process has one."""
    if not process.terminal:
        return []
    from labrt import terminal

    return [getattr(terminal, step)(*arguments)]


def _birth_cgroup(spec: Spec) -> Path | None:
    return cgroups.Cgroup(spec.cgroup).birth_folder() if spec.cgroup else None


def _join_v1(spec: Spec) -> list[Step]:
    if not spec.cgroup or not cgroups.layout().v1:
        return []
    others = spec.own_hierarchies
    return [
        cgroups.JoinV1Cgroup(spec.cgroup),
        *([hierarchies.JoinHierarchies(others)] if others else []),
    ]


def _join_cgroup_namespace(path: str) -> list[Step]:
    return [JoinCgroupNamespace(path)] if path else []


def _has_cgroup_namespace(spec: Spec) -> bool:
    return spec.new("cgroup") or spec.joined("cgroup") != ""


def _identity(spec: Spec) -> list[Step]:
    return [WriteIdMap("gid", spec.gid_mappings), WriteIdMap("uid", spec.uid_mappings)]
