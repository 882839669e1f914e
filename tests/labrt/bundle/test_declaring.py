"""What a bundle declares, and what is refused by its place before anything is made."""

from __future__ import annotations

import json
import os
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from labrt import cgroups, hierarchies, labels, state
from labrt.bundle import declaring, reading
from labrt.errors import LabError
from labrt.spec import DeviceRule, Hook, IdMapping, MemoryPolicy, Rlimit, Scheduler, Spec
from tests.labrt.bundle.bundles import config, declared
from tests.labrt.bundle.cases import OWN_USERS, linux, process, resources, without
from tests.labrt.conftest import needs_cgroups, needs_root

Change = dict[str, Any]


class Refused(NamedTuple):
    """A change of a bundle that works, and how it is refused."""

    change: Change
    says: str


REFUSED = [
    Refused({"ociVersion": "2.0.0"}, "read ociVersion"),
    Refused({"ociVersion": None}, "read ociVersion: it is missing"),
    Refused({"process": None}, "read process: it is missing"),
    Refused({"root": {"path": "nothing"}}, r"read root\.path"),
    Refused({"root": {"path": "/"}}, r"read root\.path.*the host's own root"),
    Refused({"root": {"path": 1}}, r"read root\.path: not a string"),
    Refused({"root": {"readonly": "yes"}}, r"read root\.readonly: not true or false"),
    Refused({"hostname": "x" * 65}, "read hostname: it has more than 64 bytes"),
    Refused({"domainname": "é" * 40}, "read domainname: it has more than 64 bytes"),
    Refused({"annotations": {"": "x"}}, "read annotations: one has no name"),
    Refused({"annotations": {"a": 1}}, r"read annotations\.a: not a string"),
    Refused(process(args=["true", 1]), r"read process\.args\[1\]: not a string"),
    Refused(process(cwd="home"), r"read process\.cwd: 'home' is not an absolute path"),
    Refused(process(user={"uid": 2**32 - 1}), r"read process\.user\.uid"),
    Refused(process(user={"uid": -1}), r"read process\.user\.uid"),
    Refused(process(user={"additionalGids": [2**32 - 1]}), r"additionalGids\[0\]"),
    Refused(process(user={"umask": 0o1000}), r"process\.user\.umask"),
    Refused(process(env=["A"]), r"process\.env\[0\]: 'A' is not NAME=value"),
    Refused(process(rlimits=[{"type": "RLIMIT_OFILE"}]), r"process\.rlimits\[0\]\.type"),
    Refused(
        process(rlimits=[{"type": "RLIMIT_CORE", "soft": 0}]), r"rlimits\[0\]\.hard: it is missing"
    ),
    Refused(process(oomScoreAdj=1001), r"process\.oomScoreAdj: 1001 is not within"),
    Refused(
        {
            **process(capabilities={"effective": ["CAP_KILL"], "permitted": []}),
            **linux(
                namespaces=[*without(), {"type": "user"}],
                uidMappings=OWN_USERS,
                gidMappings=OWN_USERS,
            ),
        },
        r"process\.capabilities\.effective: permitted hasn't got CAP_KILL",
    ),
    Refused(process(scheduler={"policy": "SCHED_ISO"}), r"process\.scheduler\.policy"),
    Refused(process(scheduler={}), r"process\.scheduler\.policy: it is missing"),
    Refused(process(scheduler={"policy": "SCHED_OTHER", "nice": 20}), r"process\.scheduler\.nice"),
    Refused(process(ioPriority={"class": "IOPRIO_CLASS_BE", "priority": 8}), "ioPriority"),
    Refused(process(ioPriority={"class": "IOPRIO_CLASS_NONE"}), r"ioPriority\.class"),
    Refused(process(execCPUAffinity={"initial": "0-"}), r"execCPUAffinity\.initial"),
    Refused(process(execCPUAffinity={"final": "99999999999"}), r"execCPUAffinity\.final"),
    Refused(process(execCPUAffinity={"final": "3-1"}), r"execCPUAffinity\.final"),
    *(
        Refused(process(apparmorProfile="x"), "give the AppArmor profile 'x'")
        for _ in range(not labels.has_apparmor())
    ),
    *(
        Refused(change, "give the SELinux label 'x'")
        for change in (process(selinuxLabel="x"), linux(mountLabel="x"))
        if not labels.has_selinux()
    ),
    Refused({"mounts": [{"destination": "/"}]}, r"mounts\[0\]\.destination: nothing may be laid"),
    Refused({"mounts": [{"destination": "/../.."}]}, r"mounts\[0\]\.destination"),
    Refused({"mounts": [{"destination": ""}]}, r"mounts\[0\]\.destination"),
    Refused({"mounts": [{"destination": "/x"}]}, r"mounts\[0\]\.type"),
    Refused({"mounts": [{"destination": "/x", "type": "volume", "source": "/etc"}]}, "no file sys"),
    Refused({"mounts": [{"destination": "/x", "options": ["bind"]}]}, r"mounts\[0\]\.source"),
    Refused({"mounts": [{"destination": "/proc", "type": "tmpfs"}]}, "than procfs may be at /proc"),
    Refused(
        {"mounts": [{"destination": "//proc/./sys", "type": "bind", "source": "/tmp"}]},
        "than procfs may be at /proc/sys",
    ),
    Refused(
        {"mounts": [{"destination": "/x", "type": "tmpfs", "options": ["idmap"]}]},
        "only a bind mount can be mapped",
    ),
    Refused(
        {"mounts": [{"destination": "/x", "source": "/tmp", "options": ["bind", "idmap"]}]},
        "there is no map",
    ),
    Refused(
        {
            "mounts": [
                {
                    "destination": "/x",
                    "source": "/tmp",
                    "options": ["bind", "idmap"],
                    "uidMappings": OWN_USERS,
                }
            ]
        },
        "uidMappings and gidMappings go together",
    ),
    Refused(linux(namespaces=[{"type": "pid"}, {"type": "pid"}]), "one is there twice"),
    Refused(linux(namespaces=[{"type": "pid", "path": "ns"}]), "is not an absolute path"),
    Refused(linux(namespaces=[{"type": "pid", "path": "/dev/null"}]), "is no pid namespace"),
    Refused(linux(namespaces=without("mount")), "do what mounts, root.readonly, linux.maskedPaths"),
    Refused(linux(namespaces=[{"type": "user"}]), r"uidMappings: it maps no 0"),
    Refused(linux(uidMappings=OWN_USERS), "has no user namespace"),
    Refused(
        linux(namespaces=[*without(), {"type": "user"}], uidMappings=OWN_USERS * 341),
        "takes no more than 340",
    ),
    Refused(linux(uidMappings=[{"containerID": 0, "hostID": 1}]), r"\.size: it is missing"),
    Refused(linux(timeOffsets={"monotonic": {"secs": 1}}), "has no new time namespace"),
    Refused(linux(timeOffsets={"realtime": {"secs": 1}}), "'realtime' is none of"),
    Refused(linux(timeOffsets={"boottime": {"secs": -(10**12)}}), "no clock goes below zero"),
    Refused(linux(devices=[{"path": "/dev/x", "type": "c", "major": 1}]), "minor: it is missing"),
    Refused(linux(devices=[{"path": "dev/x", "type": "p"}]), r"devices\[0\]\.path"),
    Refused(linux(devices=[{"path": "/", "type": "p"}]), r"devices\[0\]\.path"),
    Refused(
        linux(devices=[{"path": "/x", "type": "c", "major": 1 << 12, "minor": 0}]),
        r"devices\[0\]\.major",
    ),
    Refused(linux(rootfsPropagation="everywhere"), r"linux\.rootfsPropagation"),
    Refused(linux(maskedPaths=["proc"]), r"maskedPaths\[0\]: 'proc' is not an absolute path"),
    Refused(linux(readonlyPaths=["x"]), r"readonlyPaths\[0\]"),
    Refused(linux(sysctl={"kernel.panic": "1"}), "it is the whole machine's"),
    Refused(linux(sysctl={"net/../kernel/panic": "1"}), "set the sysctl"),
    Refused(linux(intelRdt={"closID": "x"}), "do what linux.intelRdt asks for"),
    Refused(linux(netDevices={"eth0": {}}), "do what linux.netDevices asks for"),
    Refused(linux(personality={"domain": "OS2"}), r"linux\.personality\.domain"),
    Refused(linux(personality={"domain": "LINUX", "flags": ["X"]}), r"personality\.flags"),
    Refused(linux(memoryPolicy={"mode": "MPOL_HOPE"}), r"linux\.memoryPolicy\.mode"),
    Refused(linux(memoryPolicy={"mode": "MPOL_BIND", "nodes": "x"}), r"memoryPolicy\.nodes"),
    Refused(linux(cgroupsPath="/a/../../b"), "leads elsewhere"),
    Refused(linux(cgroupsPath="../b"), "leads elsewhere"),
    Refused(linux(cgroupsPath="/"), "the root of the hierarchies is everybody's"),
    Refused(linux(cgroupsPath="//."), "the root of the hierarchies is everybody's"),
    Refused(resources(memory={"limit": 1 << 63}), r"memory\.limit"),
    Refused(resources(memory={"swap": 1}), r"memory\.swap: it counts memory, too"),
    Refused(resources(memory={"kernel": 1}), r"memory\.kernel"),
    Refused(resources(memory={"useHierarchy": False}), r"memory\.useHierarchy"),
    Refused(resources(cpu={"shares": 1}), r"cpu\.shares"),
    Refused(resources(cpu={"idle": 2}), r"cpu\.idle"),
    Refused(resources(cpu={"cpus": "nine"}), "use the CPUs 'nine'"),
    Refused(resources(blockIO={"leafWeight": 10}), r"blockIO\.leafWeight"),
    Refused(resources(hugepageLimits=[{"pageSize": "2 MB", "limit": 1}]), "no size such as 2MB"),
    Refused(resources(rdma={"mlx": {}}), "neither hcaHandles nor hcaObjects"),
    Refused(resources(unified={"nonsense.max": "1"}), "limit nonsense.max"),
    Refused(resources(unified={"../memory.max": "1"}), "it is no file of the controllers"),
    Refused(resources(unified={"memory.max": 1}), r"unified\.memory\.max: not a string"),
    Refused(resources(devices=[{"access": "r"}]), r"devices\[0\]\.allow: it is missing"),
    Refused(resources(devices=[{"allow": True, "access": "x"}]), r"devices\[0\]\.access"),
    Refused(linux(seccomp={}), r"linux\.seccomp\.defaultAction: it is missing"),
    Refused(
        linux(seccomp={"defaultAction": "SCMP_ACT_ALLOW", "defaultErrnoRet": 1}), "has no errno"
    ),
    Refused(
        linux(seccomp={"defaultAction": "SCMP_ACT_ERRNO", "defaultErrnoRet": 5000}), "ErrnoRet"
    ),
    Refused(
        linux(
            seccomp={
                "defaultAction": "SCMP_ACT_ALLOW",
                "syscalls": [{"names": [], "action": "SCMP_ACT_LOG"}],
            }
        ),
        r"syscalls\[0\]\.names: there is none",
    ),
    Refused(
        linux(
            seccomp={
                "defaultAction": "SCMP_ACT_ALLOW",
                "syscalls": [{"names": ["getcwd"], "action": "SCMP_ACT_NOTIFY"}],
            }
        ),
        r"seccomp\.listenerPath: it is missing",
    ),
    Refused({"hooks": {"prestart": [{"path": "hook"}]}}, r"hooks\.prestart\[0\]\.path"),
    Refused({"hooks": {"poststop": [{"path": "/h", "timeout": 0}]}}, r"\[0\]\.timeout"),
    Refused({"hooks": {"createRuntime": [{"path": "/h", "env": ["A"]}]}}, r"\[0\]\.env\[0\]"),
]


@pytest.mark.parametrize("wrong", REFUSED, ids=lambda wrong: json.dumps(wrong.change)[:70])
def test_what_is_refused_before_anything_is_made(tmp_path: Path, wrong: Refused) -> None:
    with pytest.raises(LabError, match=wrong.says):
        declared(tmp_path, wrong.change)
    assert not (state.containers_dir() / "tested").exists()


@pytest.mark.parametrize(
    "container_id", ["", ".", "..", "a/b", "../x", "a b", "é", "x" * 201, "-\n", "a\0"]
)
def test_an_id_names_a_folder_and_nothing_else(container_id: str) -> None:
    with pytest.raises(LabError, match="call a container"):
        declaring.check_id(container_id)


def test_a_root_by_way_of_a_link_is_refused(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "rootfs").symlink_to("real")
    with pytest.raises(LabError, match=r"root\.path.* is a link"):
        declared(tmp_path)
    (tmp_path / "rootfs").unlink()
    (tmp_path / "way").symlink_to(".")
    with pytest.raises(LabError, match="goes by one"):
        declared(tmp_path, {"root": {"path": "way/real"}})


def test_a_declaration_is_kept_as_it_is(tmp_path: Path) -> None:
    """It comes back whole from the record in the container's folder."""
    spec = declared(
        tmp_path,
        process(
            scheduler={"policy": "SCHED_BATCH", "nice": 3},
            rlimits=[{"type": "RLIMIT_NOFILE", "soft": 1, "hard": 2}],
        ),
        {"hooks": {"poststop": [{"path": "/h", "args": ["h"], "env": ["A=b"], "timeout": 3}]}},
        linux(
            memoryPolicy={"mode": "MPOL_BIND", "nodes": "0"},
            devices=[{"path": "/dev/x", "type": "p"}],
        ),
        {"annotations": {"a": "b"}},
    )
    again = Spec.from_json(json.loads(json.dumps(spec, default=vars)))
    assert again == spec
    assert again.process.scheduler == Scheduler("SCHED_BATCH", 3)
    assert again.process.rlimits == (Rlimit("RLIMIT_NOFILE", 1, 2),)
    assert again.hooks.poststop == (Hook("/h", ("h",), ("A=b",), 3),)
    assert again.memory_policy == MemoryPolicy("MPOL_BIND", "0")
    assert again.annotations == {"a": "b"}


def test_a_config_that_changes_later_is_not_looked_at(tmp_path: Path) -> None:
    spec = declared(tmp_path)
    os.unlink(tmp_path / "config.json")
    assert spec.hostname == config()["hostname"]


def test_fields_that_nobody_knows_are_passed_over(tmp_path: Path) -> None:
    plain = declared(tmp_path)
    more = declared(tmp_path, {"windows": {}, "vm": {}, "x": 1}, linux(x=[1]), process(x={}))
    assert replace(more, life=plain.life) == plain


@needs_cgroups
@needs_root
def test_what_all_devices_may_be_used_for_comes_last(tmp_path: Path) -> None:
    rules = declared(tmp_path, resources(devices=[{"allow": True, "type": "b", "major": 8}]))
    first, *default = rules.device_rules
    assert first == DeviceRule(True, "b", 8, -1, "rwm")
    assert DeviceRule(True, "c", 1, 3) in default


def test_the_mode_of_a_device_may_come_with_its_type(tmp_path: Path) -> None:
    made = linux(devices=[{"path": "/x", "type": "p", "fileMode": 0o010640}])
    assert declared(tmp_path, made).devices[0].mode == 0o640


def test_a_remount_is_never_a_volume_or_a_bind(tmp_path: Path) -> None:
    for kind in ("volume", "bind", "shm", "link", ""):
        again = {"destination": "/x", "type": kind, "source": "/etc", "options": ["remount", "ro"]}
        assert declared(tmp_path, {"mounts": [again]}).mounts[0].type == "none"


@needs_root
def test_a_mount_without_a_map_gets_the_containers(tmp_path: Path) -> None:
    mapped = {"mounts": [{"destination": "/x", "source": "/tmp", "options": ["rbind", "ridmap"]}]}
    users = linux(
        namespaces=[*without(), {"type": "user"}], uidMappings=OWN_USERS, gidMappings=OWN_USERS
    )
    assert declared(tmp_path, mapped, users).mounts[0].uid_mappings == (
        IdMapping(0, 500000, 65536),
    )


@needs_cgroups
def test_a_cgroup_is_below_the_root_or_below_the_labs_own(tmp_path: Path) -> None:
    assert declared(tmp_path).cgroup == f"{cgroups.top()}/tested"
    assert declared(tmp_path, linux(cgroupsPath="a//./b")).cgroup == f"{cgroups.top()}/a/b"
    assert declared(tmp_path, linux(cgroupsPath="/a/b/")).cgroup == "a/b"


@needs_cgroups
@needs_root
def test_limits_are_said_in_v2s_words_where_it_has_them(tmp_path: Path) -> None:
    spec = declared(
        tmp_path,
        resources(
            memory={"limit": 1 << 20, "reservation": 1 << 19, "swap": 3 << 20},
            cpu={"quota": 5000, "period": 10000, "burst": 100, "cpus": "0"},
            pids={"limit": -1},
            blockIO={"throttleReadBpsDevice": [{"major": 8, "minor": 0, "rate": 9}] * 2},
        ),
    )
    assert spec.resources == {
        "memory.max": "1048576",
        "memory.low": "524288",
        "memory.swap.max": "2097152",
        "cpu.max": "5000 10000",
        "cpu.max.burst": "100",
        "cpuset.cpus": "0",
        "io.max": "8:0 rbps=9 rbps=9",
        "pids.max": "max",
    }


@needs_cgroups
@needs_root
def test_what_only_v1_has_is_a_file_there_or_refused(tmp_path: Path) -> None:
    asked = resources(memory={"swappiness": 7})
    folder = hierarchies.folder("memory", f"{cgroups.top()}/tested")
    if folder is None:
        with pytest.raises(LabError, match=r"memory\.swappiness: cgroup v2 has nothing like it"):
            declared(tmp_path, asked)
    else:
        assert declared(tmp_path, asked).v1_files == ((f"{folder}/memory.swappiness", "7"),)


@needs_root
def test_an_unknown_capability_is_warned_of(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    every = {name: ["CAP_KILL", "CAP_FLY"] for name in ("bounding", "effective", "permitted")}
    sets = declared(tmp_path, process(capabilities=every)).process.capabilities
    assert sets is not None and sets.permitted == ("CAP_KILL",)
    assert "CAP_FLY" in caplog.text


def test_reading_a_process_of_a_file(tmp_path: Path) -> None:
    from labrt.bundle.processes import process as declare_process

    file = tmp_path / "process.json"
    file.write_text(json.dumps({"args": ["x"], "cwd": "/", "user": {"uid": 7, "gid": 8}}))
    found = declare_process(reading.file(file))
    assert (found.args, found.user) == (("x",), "7:8")
