"""What runc 1.1 passes over, so that it can't be compared: each field seen from inside."""

from __future__ import annotations

import array
import fcntl
import json
import os
import socket
import struct
import subprocess
import termios
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from labrt import labels
from tests.labrt.bundle.bundles import PATIENT, PROGRAM, Bundles, declared
from tests.labrt.bundle.cases import BASE, OWN_USERS, bind, linux, process, without
from tests.labrt.conftest import needs_root

pytestmark = needs_root


def test_domainname(bundles: Bundles) -> None:
    out = bundles.run({"domainname": "example.org"}, run="cat /proc/sys/kernel/domainname")
    assert out == "example.org\n"


def test_scheduler(bundles: Bundles) -> None:
    asked = process(scheduler={"policy": "SCHED_BATCH", "nice": 7})
    fields = bundles.run(asked, run="cat /proc/self/stat").rpartition(")")[2].split()
    assert (fields[16], fields[38]) == ("7", "3")  # proc_pid_stat(5): nice, policy


def test_io_priority(bundles: Bundles) -> None:
    """The kernel tells it of any process (ioprio_get(2))."""
    asked = process(ioPriority={"class": "IOPRIO_CLASS_IDLE", "priority": 5})
    with running(bundles, asked) as pid:
        seen = subprocess.run(["ionice", "-p", str(pid)], capture_output=True, text=True)
    assert seen.stdout.strip() == "idle"


@contextmanager
def running(bundles: Bundles, *changes: dict[str, Any], run: str = "sleep 100") -> Iterator[int]:
    """A container that runs; the pid of its process."""
    bundles.write(*changes, run=run)
    try:
        done = bundles("create", "-b", str(bundles.folder), bundles.name, **PATIENT)
        assert done.returncode == 0
        assert bundles("start", bundles.name).returncode == 0
        yield json.loads(bundles("state", bundles.name).stdout)["pid"]
    finally:
        bundles("delete", "--force", bundles.name)


def test_personality(bundles: Bundles) -> None:
    asked = linux(personality={"domain": "LINUX32"})
    machines = {"x86_64": "i686", "aarch64": "armv8l"}
    assert bundles.run(asked, run="uname -m").strip() == machines.get(os.uname().machine)
    assert bundles.run(linux(personality={"domain": "LINUX"}), run="uname -m").strip() == (
        os.uname().machine
    )


def test_clocks(bundles: Bundles) -> None:
    spaces = linux(
        namespaces=[*without(), {"type": "time"}],
        timeOffsets={"boottime": {"secs": 864000, "nanosecs": 500_000_000}, "monotonic": {}},
    )
    ahead = float(bundles.run(spaces, run="cut -d' ' -f1 /proc/uptime"))
    here = float(Path("/proc/uptime").read_text().split()[0])
    assert 863_000 < ahead - here < 864_001


def test_a_time_namespace_without_offsets(bundles: Bundles) -> None:
    spaces = linux(namespaces=[*without(), {"type": "time"}])
    seen = bundles.run(spaces, run="readlink /proc/self/ns/time").strip()
    assert seen.startswith("time:") and seen != os.readlink("/proc/self/ns/time")


def test_memory_policy(bundles: Bundles) -> None:
    """numa_maps(5) shows it, where the kernel knows more than one node's worth of policy."""
    asked = linux(memoryPolicy={"mode": "MPOL_BIND", "nodes": "0"})
    if not Path("/proc/self/numa_maps").exists():
        assert "SetMemoryPolicy: set_mempolicy(MPOL_BIND, 0)" in bundles.refused(asked, run="true")
        return
    assert " bind:0 " in bundles.run(asked, run="cat /proc/self/numa_maps")


def test_an_id_mapped_mount(bundles: Bundles, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    tmp_path.chmod(0o755)
    maps = [{"containerID": 0, "hostID": 1000, "size": 10}]
    mount = bind("/mnt", str(tmp_path), "rbind", "idmap")
    mapped = {"mounts": [*FIRST, {**mount, "uidMappings": maps, "gidMappings": maps}]}
    assert bundles.run(mapped, run="stat -c %u:%g /mnt/file") == "1000:1000\n"


FIRST = BASE["mounts"][:2]  # /proc and /dev


def test_a_mount_mapped_as_the_containers_users(bundles: Bundles, tmp_path: Path) -> None:
    """What is root's on the host is root's in the container, though its root is another."""
    (tmp_path / "file").touch()
    tmp_path.chmod(0o755)
    users = linux(
        namespaces=[*without(), {"type": "user"}], uidMappings=OWN_USERS, gidMappings=OWN_USERS
    )
    plain = {"mounts": [*FIRST, bind("/mnt", str(tmp_path))]}
    mapped = {"mounts": [*FIRST, bind("/mnt", str(tmp_path), "rbind", "ridmap")]}
    asked = "stat -c %u /mnt/file"
    assert bundles.run(users, plain, run=asked) == "65534\n"
    assert bundles.run(users, mapped, run=asked) == "0\n"


def test_cpus_of_a_process_that_enters(bundles: Bundles) -> None:
    with running(bundles):
        file = bundles.folder / "process.json"
        told = {"args": ["grep", "Cpus_allowed_list", "/proc/self/status"], "cwd": "/"}
        told |= {"env": ["PATH=/bin"], "user": {"uid": 0, "gid": 0}}
        file.write_text(json.dumps({**told, "execCPUAffinity": {"initial": "0", "final": "0"}}))
        done = bundles("exec", "--process", str(file), bundles.name)
    assert done.stdout.split() == ["Cpus_allowed_list:", "0"], done.stderr


def test_without_a_mount_namespace(bundles: Bundles) -> None:
    """It is in its root, with what is mounted there already."""
    bare = {
        "mounts": [],
        "root": {"readonly": False},
        "linux": {"namespaces": without("mount"), "maskedPaths": None, "readonlyPaths": None},
    }
    before = Path("/proc/self/mountinfo").read_text()
    assert bundles.run(bare, run="ls -d /bin /proc/self; ls /").startswith("/bin\n")
    with running(bundles, bare) as pid:
        assert os.readlink(f"/proc/{pid}/ns/mnt") == os.readlink("/proc/self/ns/mnt")
        assert os.readlink(f"/proc/{pid}/root") == str(bundles.root)
        inside = bundles("exec", bundles.name, "ls", "/")
        assert "bin" in inside.stdout and "usr" not in inside.stdout, inside.stderr
    assert Path("/proc/self/mountinfo").read_text() == before


def test_in_a_mount_namespace_of_others(bundles: Bundles) -> None:
    with subprocess.Popen(["unshare", "--mount", "sleep", "1000"]) as sleeper:
        try:
            path = f"/proc/{sleeper.pid}/ns/mnt"
            while os.readlink(path) == os.readlink("/proc/self/ns/mnt"):
                pass
            bare = {
                "mounts": [],
                "root": {"readonly": False},
                "linux": {
                    "namespaces": [*without("mount"), {"type": "mount", "path": path}],
                    "maskedPaths": None,
                    "readonlyPaths": None,
                },
            }
            with running(bundles, bare) as pid:
                assert os.readlink(f"/proc/{pid}/ns/mnt") == os.readlink(path)
                assert os.readlink(f"/proc/{pid}/root") == str(bundles.root)
        finally:
            sleeper.kill()


@pytest.mark.parametrize("uid", [0, 1000])
def test_a_terminal(bundles: Bundles, uid: int) -> None:
    """/dev/console is the terminal itself, and the user's."""
    asked = process(terminal=True, user={"uid": uid, "gid": 0})
    bundles.write(asked, run="tty; stat -c '%u %t:%T' /dev/console /dev/pts/0")
    ours, theirs = os.openpty()
    command = [str(PROGRAM), "--root", f"{bundles.folder}/state", "run", "-b", str(bundles.folder)]
    done = subprocess.run([*command, bundles.name], stdin=theirs, stdout=theirs, stderr=theirs)
    said = os.read(ours, 4096).decode().split()
    os.close(theirs)
    os.close(ours)
    assert done.returncode == 0, said
    assert said == ["/dev/pts/0", str(uid), "88:0", str(uid), "88:0"]


def test_the_size_of_a_terminal(bundles: Bundles, tmp_path: Path) -> None:
    size = {"height": 33, "width": 77}
    bundles.write(process(terminal=True, consoleSize=size), run="sleep 100")
    with socket.socket(socket.AF_UNIX) as engine:
        engine.bind(str(tmp_path / "console"))
        engine.listen(1)
        words = ("-b", str(bundles.folder), "--console-socket", str(tmp_path / "console"))
        try:
            assert bundles("create", *words, bundles.name, **PATIENT).returncode == 0
            with engine.accept()[0] as way:
                _data, (master, *_), _flags, _address = socket.recv_fds(way, 64, 1)
            rows_and_columns = fcntl.ioctl(master, termios.TIOCGWINSZ, bytes(8))
            os.close(master)
        finally:
            bundles("delete", "--force", bundles.name)
    assert struct.unpack("4H", rows_and_columns)[:2] == (33, 77)


class Supervisor(threading.Thread):
    """Takes one listener, and answers the first system call with an error (seccomp_unotify(2))."""

    def __init__(self, path: Path) -> None:
        super().__init__(daemon=True)
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.bind(str(path))
        self.socket.listen(1)
        self.told: dict[str, Any] = {}

    def run(self) -> None:
        with self.socket, self.socket.accept()[0] as way:
            data, fds, _flags, _address = socket.recv_fds(way, 1 << 16, 1)
            while more := way.recv(1 << 16):
                data += more
        self.told = json.loads(data)
        answer(fds[0])
        os.close(fds[0])


def answer(listener: int) -> None:
    notif = array.array("B", bytes(80))  # struct seccomp_notif
    fcntl.ioctl(listener, 0xC0502100, notif)
    reply = array.array("B", bytes(notif[:8]) + bytes(8) + (-95).to_bytes(4, "little", signed=True))
    reply.frombytes(bytes(4))
    fcntl.ioctl(listener, 0xC0182101, reply)  # struct seccomp_notif_resp


@pytest.mark.parametrize("privileged", [False, True])
def test_a_supervisor_decides(bundles: Bundles, tmp_path: Path, privileged: bool) -> None:
    supervisor = Supervisor(tmp_path / "socket")
    supervisor.start()
    rule = {"names": ["mkdir", "mkdirat"], "action": "SCMP_ACT_NOTIFY"}
    asked = linux(
        seccomp={
            "defaultAction": "SCMP_ACT_ALLOW",
            "listenerPath": str(tmp_path / "socket"),
            "listenerMetadata": "for the agent",
            "syscalls": [rule],
        }
    )
    plain = process(noNewPrivileges=not privileged)
    done = bundles.outcome(asked, plain, run="mkdir /dev/shm/x")
    assert "Not supported" in done.stderr or "not supported" in done.stderr
    supervisor.join(30)
    assert supervisor.told["fds"] == ["seccompFd"]
    assert supervisor.told["metadata"] == "for the agent"
    assert supervisor.told["state"]["id"] == bundles.name
    assert supervisor.told["pid"] == supervisor.told["state"]["pid"] > 1


def test_a_supervisor_that_does_not_listen(bundles: Bundles, tmp_path: Path) -> None:
    rule = {"names": ["mkdir"], "action": "SCMP_ACT_NOTIFY"}
    profile = {"defaultAction": "SCMP_ACT_ALLOW", "listenerPath": str(tmp_path / "nobody")}
    told = bundles.refused(linux(seccomp={**profile, "syscalls": [rule]}), run="true")
    assert "ConnectSupervisor" in told


@pytest.mark.skipif(not labels.has_apparmor(), reason="this kernel has no AppArmor")
def test_a_profile_that_the_kernel_has(bundles: Bundles) -> None:
    asked = process(apparmorProfile="unconfined")
    assert bundles.run(asked, run="cat /proc/self/attr/current") == "unconfined\n"
    told = bundles.refused(process(apparmorProfile="no-such-profile"), run="true")
    assert "ENOENT" in told and "Traceback" not in told


def test_a_label_is_what_execve_gives(tmp_path: Path) -> None:
    """As far as it can be seen without the security module: what is written, and where."""
    from dataclasses import replace

    from labrt.recipe import recipe

    spec = declared(tmp_path)
    labelled = replace(spec, process=replace(spec.process, apparmor="container-default"))
    steps = {step.name: step for step in recipe(labelled)}
    assert steps["SetLabel"].describe() == (
        "write 'exec container-default' into it, for execve(2) to heed"
    )
    names = [step.name for step in recipe(labelled)]
    assert names.index("OpenAttributes") < names.index("PivotRoot") < names.index("SetLabel")


def test_preparations_leave_no_namespace_behind() -> None:
    """`user_namespace` makes one that nobody is in; its process is reaped."""
    from labrt.idmapped import user_namespace
    from labrt.spec import IdMapping

    children = Path(f"/proc/self/task/{os.getpid()}/children").read_text()
    maps = (IdMapping(0, 1000, 1),)
    os.close(user_namespace(maps, maps))
    assert Path(f"/proc/self/task/{os.getpid()}/children").read_text() == children
