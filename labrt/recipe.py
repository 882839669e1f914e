"""The recipe: a container is this list of steps, in this order, and nothing else.

Each step lives in the file of its kernel feature. Run the list and there is a container; read its
undos backwards and there is none; print it and you have `labrt explain`; time it and you have
`labrt run --trace`. Host-side steps before `Clone` prepare; those after it finish what only the
host may do to the child; then the child does its own, up to execve(2).
"""

from __future__ import annotations

from pathlib import Path

from labrt import cgroups, mounts
from labrt.capabilities import DropBoundingSet, SetCapabilities, SetNoNewPrivileges
from labrt.devices import NODES, BindDevice, LinkDevices
from labrt.init import StayAsInit
from labrt.interpreter import CheckInterpreter, ShieldProcess
from labrt.namespaces import (
    BecomeContainerRoot,
    Clone,
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
from labrt.spec import Spec
from labrt.state import ClaimName, CreateStateDir, RecordStart
from labrt.step import Step


def recipe(spec: Spec) -> list[Step]:
    """Return the steps that make `spec` a running container."""
    return [
        CreateStateDir(spec),
        *_name(spec),
        *_cgroup(spec),
        CheckInterpreter(),
        *([CompileSeccomp(spec)] if spec.seccomp else []),
        Clone(spec.namespaces, _birth_cgroup(spec)),
        RecordStart(spec),
        *_identity(spec),
        *([RaiseHardLimits(rlimits)] if (rlimits := spec.process.rlimits) else []),
        *([SetOomScoreAdj(score)] if (score := spec.process.oom_score_adj) is not None else []),
        # From here on, in the child; side by side with the host until WaitForHost.
        NewSession(),
        *_join_v1(spec),
        UnshareCgroupNamespace(),
        mounts.MakeMountsPrivate(),
        mounts.EnterStateDir(spec.state_dir),
        WaitForHost(),
        ShieldProcess(),
        BecomeContainerRoot(),
        SetHostname(spec.hostname),
        mounts.MountOverlay(spec.root.layers, spec.state_dir),
        mounts.PivotRoot(),
        *(mounts.MountFilesystem(mount) for mount in spec.mounts),
        *(BindDevice(node) for node in NODES),
        LinkDevices(),
        mounts.DetachOldRoot(),
        *(mounts.MaskPath(path) for path in spec.masked_paths),
        *(mounts.MakeReadOnly(path) for path in spec.readonly_paths),
        *([mounts.MakeRootReadOnly()] if spec.root.readonly else []),
        RaiseLoopback(),
        SetUmask(spec.process.umask),
        ChangeDirectory(spec.process.cwd),
        *([LoadSeccomp()] if spec.seccomp and not spec.process.no_new_privileges else []),
        *([DropBoundingSet(sets)] if (sets := spec.process.capabilities) else []),
        *_user(spec),
        *([SetCapabilities(sets)] if sets else []),
        *([SetNoNewPrivileges()] if spec.process.no_new_privileges else []),
        DieWithParent(),
        ResetSignals(),
        ConnectStdio(),
        *([SetRlimits(rlimits)] if rlimits else []),
        *([LoadSeccomp()] if spec.seccomp and spec.process.no_new_privileges else []),
        *([StayAsInit()] if spec.init else []),
        Exec(spec.process),
    ]


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
