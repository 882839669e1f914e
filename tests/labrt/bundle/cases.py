"""Bundles that are run under the lab's runtime and under runc, to be compared: one idea each.

A case is what it changes of `BASE`, and perhaps what it asks of the container. `None` takes a field
away, a list replaces a list. "{HOST}" is a folder of the host's, the same for both runtimes.
"""

from __future__ import annotations

import copy
from dataclasses import dataclass, field
from typing import Any

CAPS = ["CAP_AUDIT_WRITE", "CAP_KILL", "CAP_NET_BIND_SERVICE"]
ALL_SETS = ("bounding", "effective", "permitted")
SPACES = ("pid", "network", "ipc", "uts", "mount", "cgroup")

BASE: dict[str, Any] = {
    "ociVersion": "1.0.2",
    "process": {
        "args": ["sh", "/probe"],
        "env": ["PATH=/bin", "TERM=xterm"],
        "cwd": "/",
        "user": {"uid": 0, "gid": 0},
        "noNewPrivileges": True,
        "capabilities": {name: CAPS for name in ALL_SETS},
    },
    "root": {"path": "rootfs", "readonly": True},
    "hostname": "probed",
    "mounts": [
        {"destination": "/proc", "type": "proc", "source": "proc"},
        {
            "destination": "/dev",
            "type": "tmpfs",
            "source": "tmpfs",
            "options": ["nosuid", "strictatime", "mode=755", "size=65536k"],
        },
        {
            "destination": "/dev/pts",
            "type": "devpts",
            "source": "devpts",
            "options": ["nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620", "gid=5"],
        },
        {
            "destination": "/dev/shm",
            "type": "tmpfs",
            "source": "shm",
            "options": ["nosuid", "noexec", "nodev", "mode=1777", "size=65536k"],
        },
        {
            "destination": "/dev/mqueue",
            "type": "mqueue",
            "source": "mqueue",
            "options": ["nosuid", "noexec", "nodev"],
        },
        {
            "destination": "/sys",
            "type": "sysfs",
            "source": "sysfs",
            "options": ["nosuid", "noexec", "nodev", "ro"],
        },
        {
            "destination": "/sys/fs/cgroup",
            "type": "cgroup",
            "source": "cgroup",
            "options": ["nosuid", "noexec", "nodev", "relatime", "ro"],
        },
    ],
    "linux": {
        "resources": {"devices": [{"allow": False, "access": "rwm"}]},
        "namespaces": [{"type": name} for name in SPACES],
        "maskedPaths": ["/proc/kcore", "/proc/timer_list", "/sys/firmware", "/proc/nothing"],
        "readonlyPaths": ["/proc/bus", "/proc/sys", "/proc/nothing"],
    },
}


@dataclass(frozen=True)
class Case:
    """A bundle.

    Attributes:
        change: what is other than in BASE.
        mounts: mounts beside BASE's.
        run: a shell command that is asked, beside the probe.
    """

    name: str
    change: dict[str, Any] = field(default_factory=dict)
    mounts: tuple[dict[str, Any], ...] = ()
    run: str = ""

    @property
    def slow(self) -> bool:
        """Whether it is left to `--all`."""
        return self.name in SLOW

    def config(self, host: str) -> dict[str, Any]:
        """Return its config.json."""
        config = merged(BASE, self.change)
        config["mounts"] = [*(config.get("mounts") or []), *self.mounts]
        process = config.get("process")
        if process and process.get("args") == BASE["process"]["args"]:
            process["args"] = ["sh", "/probe", self.run or "true"]
        found: dict[str, Any] = filled(config, host)
        return found


def merged(base: Any, change: Any) -> Any:
    """Return `base` with the fields of `change` in place of its own."""
    if not (isinstance(base, dict) and isinstance(change, dict)):
        return copy.deepcopy(change)
    both = {**base, **{name: merged(base.get(name), value) for name, value in change.items()}}
    return {name: value for name, value in both.items() if value is not None}


def filled(value: Any, host: str) -> Any:
    """Put the host's folder in."""
    if isinstance(value, dict):
        return {name: filled(inner, host) for name, inner in value.items()}
    if isinstance(value, list):
        return [filled(inner, host) for inner in value]
    return value.replace("{HOST}", host) if isinstance(value, str) else value


def process(**change: Any) -> dict[str, Any]:
    return {"process": change}


def linux(**change: Any) -> dict[str, Any]:
    return {"linux": change}


def resources(**change: Any) -> dict[str, Any]:
    return {"linux": {"resources": change}}


def without(*kinds: str) -> list[dict[str, str]]:
    return [{"type": name} for name in SPACES if name not in kinds]


def mount(
    destination: str, kind: str = "tmpfs", source: str = "tmpfs", *options: str
) -> dict[str, Any]:
    return {"destination": destination, "type": kind, "source": source, "options": list(options)}


def bind(destination: str, source: str, *options: str) -> dict[str, Any]:
    return mount(destination, "none", source, *(options or ("rbind",)))


def limit(kind: str, soft: int, hard: int) -> dict[str, Any]:
    return {"type": kind, "soft": soft, "hard": hard}


def filter_(action: str, *names: str, **more: Any) -> dict[str, Any]:
    """A seccomp profile that does something else to a few system calls."""
    rule = {"names": list(names), "action": action}
    rule |= {name: more.pop(name) for name in ("args", "errnoRet") if name in more}
    return linux(seccomp={"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [rule], **more})


USER = {"uid": 1000, "gid": 1000}
OWN_USERS = [{"containerID": 0, "hostID": 500000, "size": 65536}]
_EVERYBODY = [{"allow": True, "access": "rwm"}]
_INFINITE = (1 << 64) - 1

PROCESS = [
    Case("plain"),
    Case("writable-root", {"root": {"readonly": False}}, run="touch /new && rm /new && echo done"),
    Case("user", process(user=USER)),
    Case("user-with-groups", process(user={**USER, "additionalGids": [5, 6, 1000]})),
    Case("user-without-entry", process(user={"uid": 77, "gid": 88})),
    Case("home-empty", process(user=USER, env=["PATH=/bin", "HOME="])),
    Case("home-given", process(env=["PATH=/bin", "HOME=/elsewhere"])),
    Case("umask", process(user={"uid": 0, "gid": 0, "umask": 0o77})),
    Case("cwd", process(cwd="/home")),
    Case("cwd-made", {**process(cwd="/made/here"), "root": {"readonly": False}}),
    Case("cwd-relative", process(cwd="home")),
    Case("env", process(env=["PATH=/bin", "A=1", "A=2", "B= x=y ", "C="])),
    Case("env-without-value", process(env=["PATH=/bin", "NOTHING"])),
    Case("env-without-name", process(env=["PATH=/bin", "=value"])),
    Case("no-process", {"process": None}),
    Case("no-arguments", process(args=[])),
    Case("no-such-program", process(args=["/bin/nothing"])),
    Case("no-program-but-data", process(args=["/probe"])),
    Case("no-program-but-folder", process(args=["/bin"])),
    Case("program-by-path", process(args=["/bin/sh", "-c", "echo $0; exit 7"])),
    Case(
        "killed", {**process(args=["sh", "-c", "kill -9 $$"]), **linux(namespaces=without("pid"))}
    ),
    Case("no-capabilities", process(capabilities=None)),
    Case(
        "bounding-alone",
        process(capabilities={"bounding": CAPS, "effective": None, "permitted": None}),
    ),
    Case(
        "ambient",
        process(user=USER, capabilities={n: CAPS for n in (*ALL_SETS, "inheritable", "ambient")}),
    ),
    Case(
        "inheritable",
        process(user=USER, capabilities={name: CAPS for name in (*ALL_SETS, "inheritable")}),
    ),
    Case(
        "unknown-capability",
        process(capabilities={name: [*CAPS, "CAP_UNHEARD_OF"] for name in ALL_SETS}),
    ),
    Case("less-effective", process(capabilities={"effective": CAPS[:1]})),
    Case("may-win-privileges", process(noNewPrivileges=False)),
    Case(
        "rlimits",
        process(rlimits=[limit("RLIMIT_NOFILE", 64, 128), limit("RLIMIT_AS", 1 << 32, _INFINITE)]),
    ),
    Case("rlimit-infinite", process(rlimits=[limit("RLIMIT_CORE", 0, _INFINITE)])),
    Case("rlimit-unknown", process(rlimits=[limit("RLIMIT_PATIENCE", 1, 1)])),
    Case("rlimit-twice", process(rlimits=[limit("RLIMIT_CORE", 0, 0)] * 2)),
    Case("rlimit-soft-above-hard", process(rlimits=[limit("RLIMIT_CORE", 2, 1)])),
    Case("oom-score", process(oomScoreAdj=500)),
    Case("oom-score-beyond", process(oomScoreAdj=5000)),
    Case("uid-beyond", process(user={"uid": 4294967295, "gid": 0})),
    Case("apparmor-where-there-is-none", process(apparmorProfile="container-default")),
    Case("selinux-where-there-is-none", process(selinuxLabel="u:r:t:s0")),
]

MOUNTS = [
    Case(
        "tmpfs",
        mounts=(mount("/new", "tmpfs", "tmpfs", "size=64k", "mode=700", "uid=7"),),
        change={"root": {"readonly": False}},
    ),
    Case("tmpfs-over-folder", mounts=(mount("/home"), mount("/sticky"))),
    Case(
        "tmpfs-copying",
        mounts=(mount("/etc", "tmpfs", "tmpfs", "tmpcopyup"),),
        run="stat -c '%n %a %u:%g' /etc /etc/*",
    ),
    Case(
        "bind", mounts=(bind("/mnt", "{HOST}/data"),), run="cat /mnt/file; touch /mnt/w; rm /mnt/w"
    ),
    Case("bind-read-only", mounts=(bind("/mnt", "{HOST}/data", "bind", "ro"),), run="touch /mnt/w"),
    Case("bind-safe", mounts=(bind("/mnt", "{HOST}/data", "rbind", "nosuid", "nodev", "noexec"),)),
    Case(
        "bind-later-word-holds",
        mounts=(bind("/mnt", "{HOST}/data", "rbind", "ro", "nosuid", "rw", "suid"),),
    ),
    Case(
        "bind-file",
        mounts=(bind("/etc/told", "{HOST}/data/file", "bind", "ro"),),
        change={"root": {"readonly": False}},
        run="cat /etc/told",
    ),
    Case("bind-of-the-bundle", mounts=(bind("/mnt", "beside"),), run="cat /mnt/file"),
    Case("bind-alone", mounts=(bind("/mnt", "/dev", "bind"),), run="ls /mnt/pts"),
    Case("bind-recursive-read-only", mounts=(bind("/mnt", "/dev", "rbind", "rro"),)),
    Case(
        "bind-recursive-safe",
        mounts=(bind("/mnt", "/dev", "rbind", "rnosuid", "rnodev", "rnoexec"),),
    ),
    Case("bind-missing-source", mounts=(bind("/mnt", "{HOST}/nothing"),)),
    Case("bind-over-file-and-folder", mounts=(bind("/etc/passwd", "{HOST}/data"),)),
    Case(
        "access-times",
        mounts=tuple(
            mount(f"/mnt/{w}", "tmpfs", "tmpfs", w)
            for w in ("noatime", "nodiratime", "strictatime", "relatime", "atime")
        ),
        change={"root": {"readonly": False}},
    ),
    Case(
        "superblock-flags",
        mounts=(
            mount("/mnt", "tmpfs", "tmpfs", "sync", "dirsync", "silent"),
            mount("/home", "tmpfs", "tmpfs", "sync", "async", "loud"),
        ),
    ),
    Case(
        "propagation",
        mounts=tuple(
            mount(f"/mnt/{w}", "tmpfs", "tmpfs", w)
            for w in ("private", "shared", "rslave", "unbindable")
        ),
        change={"root": {"readonly": False}},
    ),
    Case(
        "remount",
        mounts=(mount("/mnt"), mount("/mnt", "tmpfs", "tmpfs", "remount", "ro")),
    ),
    Case("defaults", mounts=(mount("/mnt", "tmpfs", "tmpfs", "defaults"),)),
    Case("destination-relative", mounts=(mount("mnt"),)),
    Case("destination-with-dots", mounts=(mount("/home/../mnt/."),)),
    Case(
        "destination-made",
        mounts=(mount("/made/below"),),
        change={"root": {"readonly": False}},
        run="stat -c '%a %u %g' /made",
    ),
    Case(
        "two-at-one-place",
        mounts=(bind("/mnt", "{HOST}/data"), bind("/mnt", "beside")),
        run="cat /mnt/file",
    ),
    Case("no-such-file-system", mounts=(mount("/mnt", "unheardof"),)),
    Case("no-type", mounts=({"destination": "/mnt", "source": "tmpfs"},)),
    Case("tmpfs-bad-option", mounts=(mount("/mnt", "tmpfs", "tmpfs", "nosuchoption"),)),
    Case("proc-hidden", mounts=(mount("/proc"),)),
    Case(
        "proc-part-hidden",
        mounts=(bind("/proc/cpuinfo", "{HOST}/data/file", "bind"),),
        run="cat /proc/cpuinfo",
    ),
    Case("proc-attr-hidden", mounts=(bind("/proc/self/attr", "{HOST}/data"),)),
    Case("no-dev", {"mounts": BASE["mounts"][:1], "root": {"readonly": False}}),
    Case(
        "dev-of-the-host",
        {"mounts": [BASE["mounts"][0], bind("/dev", "/dev", "rbind", "rprivate")]},
    ),
    Case(
        "dev-read-only",
        {
            "mounts": [
                BASE["mounts"][0],
                mount("/dev", "tmpfs", "tmpfs", "ro", "nosuid", "mode=755"),
            ]
        },
    ),
    Case(
        "no-mounts",
        {
            "mounts": [],
            "linux": {"maskedPaths": [], "readonlyPaths": []},
            "process": {"args": ["sh", "-c", "ls -a /dev"]},
        },
    ),
    Case("root-missing", {"root": {"path": "nothing"}}),
    Case("root-shared", linux(rootfsPropagation="shared")),
    Case("root-unbindable", linux(rootfsPropagation="unbindable")),
    Case("root-propagation-none", linux(rootfsPropagation="everywhere")),
    Case("nothing-masked", linux(maskedPaths=None, readonlyPaths=None)),
    Case(
        "own-paths-masked",
        linux(maskedPaths=["/etc/passwd", "/home"], readonlyPaths=["/bin"]),
        run="cat /etc/passwd; ls /home",
    ),
]

SPACES_AND_DEVICES = [
    *(
        Case(
            f"no-{kind}-namespace",
            {
                "linux": {"namespaces": without(kind)},
                **({"hostname": None} if kind == "uts" else {}),
            },
        )
        for kind in ("pid", "ipc", "uts", "cgroup")
    ),
    Case("no-network-namespace", linux(namespaces=without("network")), run="test -s /proc/net/dev"),
    Case("name-without-uts", linux(namespaces=without("uts"))),
    Case("namespace-twice", linux(namespaces=[*without(), {"type": "ipc"}])),
    Case("namespace-unknown", linux(namespaces=[*without(), {"type": "thought"}])),
    Case(
        "namespace-of-another-type",
        linux(namespaces=[*without("ipc"), {"type": "ipc", "path": "/proc/self/ns/uts"}]),
    ),
    Case(
        "namespace-missing",
        linux(namespaces=[*without("ipc"), {"type": "ipc", "path": "/run/nothing"}]),
    ),
    Case(
        "namespace-joined",
        linux(namespaces=[*without("ipc"), {"type": "ipc", "path": "{HOST}/ipc"}]),
        run="test $(readlink /proc/self/ns/ipc) = $(cat /ipc) && echo joined",
    ),
    Case(
        "user-namespace",
        linux(
            namespaces=[*without(), {"type": "user"}], uidMappings=OWN_USERS, gidMappings=OWN_USERS
        ),
        run="cat /proc/self/uid_map",
    ),
    Case("user-namespace-without-map", linux(namespaces=[*without(), {"type": "user"}])),
    Case("map-without-user-namespace", linux(uidMappings=OWN_USERS, gidMappings=OWN_USERS)),
    Case(
        "sysctl",
        linux(
            sysctl={"kernel.shmmax": "65536", "net.ipv4.ip_forward": "1", "fs.mqueue.msg_max": "9"}
        ),
        run="cat /proc/sys/kernel/shmmax /proc/sys/net/ipv4/ip_forward /proc/sys/fs/mqueue/msg_max",
    ),
    Case("sysctl-of-the-machine", linux(sysctl={"kernel.panic": "1"})),
    Case(
        "sysctl-of-the-hosts-network",
        linux(sysctl={"net.ipv4.ip_forward": "1"}, namespaces=without("network")),
    ),
    Case(
        "sysctl-of-the-hosts-ipc", linux(sysctl={"kernel.shmmax": "1"}, namespaces=without("ipc"))
    ),
    Case("sysctl-hostname", linux(sysctl={"kernel.hostname": "other"})),
    Case(
        "devices",
        linux(
            devices=[
                {
                    "path": "/dev/fuse",
                    "type": "c",
                    "major": 10,
                    "minor": 229,
                    "fileMode": 0o600,
                    "uid": 7,
                    "gid": 8,
                },
                {"path": "/dev/block", "type": "b", "major": 7, "minor": 0, "fileMode": 0o660},
                {"path": "/dev/pipe", "type": "p", "fileMode": 0o644},
                {"path": "/dev/deep/er/null", "type": "u", "major": 1, "minor": 3},
            ]
        ),
        run="stat -c '%n %a %u %g %t:%T' /dev/deep/er/null",
    ),
    Case(
        "device-default-otherwise",
        linux(
            devices=[
                {
                    "path": "/dev/full",
                    "type": "c",
                    "major": 1,
                    "minor": 7,
                    "fileMode": 0o640,
                    "uid": 0,
                    "gid": 9,
                }
            ]
        ),
    ),
    Case(
        "device-unknown-type",
        linux(devices=[{"path": "/dev/x", "type": "q", "major": 1, "minor": 3}]),
    ),
    Case("device-without-number", linux(devices=[{"path": "/dev/x", "type": "c"}])),
    Case(
        "device-outside-dev",
        {
            "linux": {
                "devices": [
                    {"path": "/node", "type": "c", "major": 1, "minor": 5, "fileMode": 0o666}
                ]
            },
            "root": {"readonly": False},
        },
        run="stat -c '%a %t:%T' /node",
    ),
    Case("no-device-rules", resources(devices=None)),
    Case("all-devices", resources(devices=_EVERYBODY)),
    Case(
        "one-device",
        resources(
            devices=[
                {"allow": False, "access": "rwm"},
                {"allow": True, "type": "b", "major": 7, "minor": 0, "access": "r"},
                {"allow": True, "type": "c", "major": 10, "access": "rw"},
            ]
        ),
    ),
    Case(
        "all-devices-but-one",
        resources(
            devices=[
                *_EVERYBODY,
                {"allow": False, "type": "b", "major": 7, "minor": 0, "access": "w"},
            ]
        ),
    ),
]

_LIMITS = {
    "memory": {"limit": 64 << 20, "reservation": 32 << 20},
    "cpu": {"shares": 512, "quota": 50000, "period": 100000},
    "pids": {"limit": 77},
}

LIMITS = [
    Case("limits", resources(**_LIMITS)),
    Case(
        "no-limits-by-number",
        resources(memory={"limit": -1, "swap": -1}, cpu={"quota": -1}, pids={"limit": -1}),
    ),
    Case(
        "zero-is-not-asked-for",
        resources(
            memory={"limit": 0, "reservation": 0, "swap": 0},
            cpu={"shares": 0, "quota": 0, "period": 0},
            pids={"limit": 0},
        ),
    ),
    Case("swap", resources(memory={"limit": 64 << 20, "swap": 96 << 20})),
    Case("swap-below-memory", resources(memory={"limit": 64 << 20, "swap": 32 << 20})),
    Case(
        "swappiness",
        resources(memory={"limit": 64 << 20, "swappiness": 10, "disableOOMKiller": True}),
    ),
    Case("swappiness-beyond", resources(memory={"swappiness": 101})),
    Case("cpus", resources(cpu={"cpus": "0", "mems": "0"}), run="nproc"),
    Case("cpus-not-there", resources(cpu={"cpus": "4096"})),
    Case(
        "throttle",
        resources(
            blockIO={
                "throttleReadBpsDevice": [{"major": 7, "minor": 0, "rate": 1048576}],
                "throttleWriteIOPSDevice": [{"major": 7, "minor": 0, "rate": 100}],
            }
        ),
    ),
    Case("network-class-where-there-is-none", resources(network={"classID": 1048577})),
    Case("cgroup-absolute", linux(cgroupsPath="/labrt-compared/{NAME}")),
    Case(
        "cgroup-absolute-seen-whole",
        linux(cgroupsPath="/labrt-compared/{NAME}", namespaces=without("cgroup")),
    ),
    Case("unified", resources(unified={"hugetlb.2MB.max": "2097152"})),
    Case("unified-unknown", resources(unified={"nonsense.max": "1"})),
]

_SILENT = {"defaultAction": "SCMP_ACT_ERRNO", "syscalls": []}

FILTERS = [
    Case("filter", filter_("SCMP_ACT_ERRNO", "mkdir", "mkdirat"), run="mkdir /dev/shm/x"),
    Case(
        "filter-other-errno",
        filter_("SCMP_ACT_ERRNO", "mkdir", "mkdirat", errnoRet=38),
        run="mkdir /dev/shm/x",
    ),
    Case(
        "filter-killing",
        filter_("SCMP_ACT_KILL_PROCESS", "mkdir", "mkdirat"),
        run="mkdir /dev/shm/x; echo $?",
    ),
    Case(
        "filter-by-argument",
        filter_("SCMP_ACT_ERRNO", "kill", args=[{"index": 1, "value": 10, "op": "SCMP_CMP_EQ"}]),
        run="kill -10 9999; kill -12 9999",
    ),
    Case(
        "filter-logging",
        filter_("SCMP_ACT_LOG", "mkdir", "mkdirat"),
        run="mkdir /dev/shm/x && echo made",
    ),
    Case(
        "filter-architectures",
        filter_(
            "SCMP_ACT_ERRNO",
            "mkdir",
            "mkdirat",
            architectures=["SCMP_ARCH_X86_64", "SCMP_ARCH_X86", "SCMP_ARCH_X32"],
        ),
        run="mkdir /dev/shm/x",
    ),
    Case(
        "filter-unknown-call",
        filter_("SCMP_ACT_ERRNO", "mkdir", "mkdirat", "unheard_of"),
        run="mkdir /dev/shm/x",
    ),
    Case(
        "filter-without-privileges-lost",
        merged(filter_("SCMP_ACT_ERRNO", "mkdir", "mkdirat"), process(noNewPrivileges=False)),
        run="mkdir /dev/shm/x",
    ),
    Case("filter-unknown-action", filter_("SCMP_ACT_SCOLD", "mkdir")),
    Case(
        "filter-unknown-operator",
        filter_("SCMP_ACT_ERRNO", "kill", args=[{"index": 0, "value": 1, "op": "SCMP_CMP_NEARLY"}]),
    ),
    Case(
        "filter-unknown-architecture",
        filter_("SCMP_ACT_ERRNO", "mkdir", architectures=["SCMP_ARCH_ABACUS"]),
    ),
]


def hook(name: str, command: str = "", **more: Any) -> list[dict[str, Any]]:
    script = command or f'cat > /dev/null; echo {name} "$A" >> {{HOST}}/hooks.$NAME'
    env = ["PATH=/bin:/usr/bin", "A=given", "NAME={NAME}"]
    return [{"path": "/bin/sh", "args": ["sh", "-c", script], "env": env, **more}]


_OUTSIDE = ("prestart", "createRuntime", "createContainer", "poststart", "poststop")

LIFE = [
    Case("hooks", {"hooks": {stage: hook(stage) for stage in _OUTSIDE}}),
    Case(
        "hook-in-the-container",
        {"hooks": {"startContainer": hook("", "echo started > /dev/shm/h")}},
        run="cat /dev/shm/h",
    ),
    *(
        Case(
            f"hook-fails-{stage}",
            {"hooks": {stage: hook("", "exit 3"), "poststop": hook("poststop")}},
        )
        for stage in ("prestart", "createRuntime", "createContainer", "startContainer")
    ),
    Case(
        "hook-too-slow",
        {"hooks": {"createRuntime": hook("", "exec sleep 60", timeout=1)}},
    ),
    Case("hook-missing", {"hooks": {"prestart": [{"path": "/bin/nothing-there"}]}}),
    Case("annotations", {"annotations": {"org.example": "yes", "empty": ""}}),
    Case(
        "unknown-fields",
        {"novelty": {"deep": [1]}, "linux": {"novelty": 1}, "process": {"novelty": True}},
    ),
]

CASES = [*PROCESS, *MOUNTS, *SPACES_AND_DEVICES, *LIMITS, *FILTERS, *LIFE]

# Those that say little beside their neighbours.
SLOW = {
    "home-given",
    "cwd-relative",
    "env-without-name",
    "no-arguments",
    "no-program-but-folder",
    "program-by-path",
    "bounding-alone",
    "inheritable",
    "less-effective",
    "rlimit-infinite",
    "rlimit-unknown",
    "rlimit-soft-above-hard",
    "oom-score-beyond",
    "selinux-where-there-is-none",
    "user-without-entry",
    "no-program-but-data",
    "bind-safe",
    "bind-of-the-bundle",
    "bind-later-word-holds",
    "bind-recursive-safe",
    "bind-over-file-and-folder",
    "destination-relative",
    "destination-with-dots",
    "destination-made",
    "no-type",
    "tmpfs-bad-option",
    "proc-part-hidden",
    "proc-attr-hidden",
    "dev-read-only",
    "root-missing",
    "root-propagation-none",
    "nothing-masked",
    "superblock-flags",
    "no-ipc-namespace",
    "no-uts-namespace",
    "name-without-uts",
    "namespace-unknown",
    "namespace-missing",
    "user-namespace-without-map",
    "sysctl-of-the-hosts-ipc",
    "sysctl-of-the-hosts-network",
    "sysctl-hostname",
    "device-unknown-type",
    "no-device-rules",
    "all-devices",
    "no-limits-by-number",
    "swap",
    "swap-below-memory",
    "swappiness-beyond",
    "cpus-not-there",
    "network-class-where-there-is-none",
    "cgroup-absolute",
    "unified-unknown",
    "filter-other-errno",
    "filter-logging",
    "filter-unknown-call",
    "filter-unknown-action",
    "filter-unknown-operator",
    "filter-unknown-architecture",
    "filter-architectures",
    "hook-fails-prestart",
    "hook-fails-createContainer",
    "hook-missing",
    "annotations",
    "hook-too-slow",
}
