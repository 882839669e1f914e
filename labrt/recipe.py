"""The recipe: a container is this list of steps, in this order, and nothing else.

Each step lives in the file of its kernel feature. Run the list and there is a container; read its
undos backwards and there is none; print it and you have `labrt explain`; time it and you have
`labrt run --trace`. Host-side steps before `Clone` prepare; those after it finish what only the
host may do to the child; then the child does its own, up to execve(2).
"""

from __future__ import annotations

from pathlib import Path

from labrt import cgroups, mounts, terminal
from labrt.capabilities import DropBoundingSet, SetCapabilities, SetNoNewPrivileges
from labrt.devices import NODES, BindDevice, LinkDevices
from labrt.errors import LabError
from labrt.init import StayAsInit
from labrt.interpreter import CheckInterpreter, ShieldProcess
from labrt.namespaces import (
    FILES,
    BecomeContainerRoot,
    Clone,
    JoinMountNamespace,
    SetHostname,
    UnshareCgroupNamespace,
    WriteIdMap,
)
from labrt.network import RaiseLoopback
from labrt.process import (
    ChangeDirectory,
    ConnectStdio,
    DieWithParent,
    Exec,
    NewSession,
    ResetSignals,
    SetOomScoreAdj,
    SetUmask,
    SwitchUser,
    WaitForHost,
)
from labrt.rlimits import RaiseHardLimits, SetRlimits
from labrt.seccomp import CompileSeccomp, LoadSeccomp
from labrt.spec import Namespace, Spec
from labrt.state import ClaimName, CreateStateDir, RecordStart
from labrt.step import Step


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
        *_cgroup(spec),
        CheckInterpreter(),
        *([CompileSeccomp(spec)] if spec.seccomp else []),
        *([terminal.PrepareTerminal()] if spec.process.terminal else []),
        Clone(spec.namespaces, _birth_cgroup(spec)),
        RecordStart(spec),
        *(_identity(spec) if spec.new("user") else []),
        *([RaiseHardLimits(rlimits)] if (rlimits := spec.process.rlimits) else []),
        *([SetOomScoreAdj(score)] if (score := spec.process.oom_score_adj) is not None else []),
        # From here on, in the child; side by side with the host until WaitForHost.
        NewSession(),
        *_join_v1(spec),
        *([UnshareCgroupNamespace()] if spec.new("cgroup") else []),
        mounts.MakeMountsPrivate(),
        mounts.EnterStateDir(spec.state_dir),
        WaitForHost(),
        ShieldProcess(),
        BecomeContainerRoot(),
        *([SetHostname(spec.hostname)] if spec.new("uts") else []),
        mounts.MountOverlay(spec.root.layers, spec.state_dir),
        mounts.PivotRoot(),
        *(mounts.MountFilesystem(mount) for mount in spec.mounts),
        *(BindDevice(node) for node in NODES),
        LinkDevices(),
        mounts.DetachOldRoot(),
        *(mounts.MaskPath(path) for path in spec.masked_paths),
        *(mounts.MakeReadOnly(path) for path in spec.readonly_paths),
        *([mounts.MakeRootReadOnly()] if spec.root.readonly else []),
        *([RaiseLoopback()] if spec.new("network") else []),
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
        WaitForHost(),
        ShieldProcess(),
        BecomeContainerRoot(),
        JoinMountNamespace(f"/proc/{pid}/ns/mnt"),
        *_become_program(spec),
    ]
    return _without_skipped(steps, spec)


def _become_program(spec: Spec) -> list[Step]:
    """The last steps of a start and of an entry are the same: give up rights, then execve(2)."""
    process, rlimits = spec.process, spec.process.rlimits
    return [
        SetUmask(process.umask),
        ChangeDirectory(process.cwd),
        *([LoadSeccomp()] if spec.seccomp and not process.no_new_privileges else []),
        *([DropBoundingSet(sets)] if (sets := process.capabilities) else []),
        *_user(spec),
        *([SetCapabilities(sets)] if sets else []),
        *([SetNoNewPrivileges()] if process.no_new_privileges else []),
        *([] if spec.life.detached else [DieWithParent()]),
        ResetSignals(),
        *([terminal.OpenTerminal()] if process.terminal else []),
        ConnectStdio(),
        *([SetRlimits(rlimits)] if rlimits else []),
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


def _birth_cgroup(spec: Spec) -> Path | None:
    return cgroups.Cgroup(spec.cgroup).birth_folder() if spec.cgroup else None


def _join_v1(spec: Spec) -> list[Step]:
    if not spec.cgroup or not cgroups.layout().v1:
        return []
    return [cgroups.JoinV1Cgroup(spec.cgroup)]


def _identity(spec: Spec) -> list[Step]:
    return [WriteIdMap("gid", spec.gid_mappings), WriteIdMap("uid", spec.uid_mappings)]


def _user(spec: Spec) -> list[Step]:
    process = spec.process
    return [SwitchUser(process.user, process.additional_gids)] if process.user else []
