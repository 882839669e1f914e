"""Namespaces: each kind of its own, shared with the host or another container, and how a container
ends whose processes are among others'."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

import labrt
from labrt import child, namespaces, nsfs, removal, sharing, state
from labrt.declare import declare
from labrt.errors import LabError
from labrt.images import store
from labrt.spec import Namespace, NamespaceType
from labrt.step import Context
from tests.labrt.conftest import needs_cgroups, needs_root

pytestmark = pytest.mark.usefixtures("nothing_left")

ROOT = Path(__file__).parent.parent.parent
KINDS: list[NamespaceType] = [
    "user",
    "network",
    "ipc",
    "uts",
    "cgroup",
    pytest.param("pid", marks=needs_cgroups),  # type: ignore[list-item]
]
NAME = "web-of-namespaces"
needs_time_namespaces = pytest.mark.skipif(
    not os.path.exists("/proc/self/ns/time"), reason="this kernel has no time namespaces"
)


def said(command: str, **options: object) -> str:
    """Run a shell command in a container; return what it wrote."""
    return labrt.output("busybox", ["sh", "-c", command], **options).strip()


@pytest.fixture
def web() -> Iterator[labrt.Container]:
    """A container to share with."""
    with labrt.run("busybox", ["sleep", "4242"], name=NAME, hostname="web", rm=True) as c:
        yield c


@contextmanager
def visitor(pid: int, *kinds: NamespaceType, code: str) -> Iterator[None]:
    """Run Python with the host's files in some namespaces of a process and in its user namespace,
    for the time of the block: what the image has no program for."""
    spaces = [Namespace(kind, f"/proc/{pid}/ns/{nsfs.FILES[kind]}") for kind in ("user", *kinds)]
    script = f"""
import ctypes, os, socket
from labrt import namespaces
from labrt.spec import Namespace
namespaces.join({spaces!r})
os.setresgid(0, 0, 0)
os.setresuid(0, 0, 0)
{code}
print(flush=True)
input()
"""
    with subprocess.Popen(
        [sys.executable, "-c", script], cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as process:
        assert process.stdout is not None and process.stdin is not None
        assert process.stdout.readline() == b"\n"
        yield
        process.stdin.close()


def option(kind: NamespaceType) -> str:
    return sharing.OPTIONS[kind]


# Its own, and others'.


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("how", ["container:{name}", "pid:{pid}", "ns:/proc/{pid}/ns/{file}"])
def test_each_kind_is_joined_by_container_by_pid_and_by_path(
    web: labrt.Container, kind: NamespaceType, how: str
) -> None:
    file = nsfs.FILES[kind]
    wish = how.format(name=NAME, pid=web.pid, file=file)
    inside = said(f"readlink /proc/self/ns/{file}", **{option(kind): wish})
    assert inside == namespaces.read(web.pid)[file]
    assert inside != namespaces.read()[file]


@pytest.mark.parametrize("kind", ["network", "ipc", "uts", "cgroup"])
def test_who_joins_a_namespace_joins_the_user_namespace_that_owns_it(
    web: labrt.Container, kind: NamespaceType
) -> None:
    its = namespaces.read(web.pid)
    wish = {option(kind): f"container:{NAME}"}
    assert said("readlink /proc/self/ns/user", **wish) == its["user"]
    assert said("readlink /proc/self/ns/mnt", **wish) != its["mnt"]


def test_the_network_is_shared_down_to_abstract_sockets(web: labrt.Container) -> None:
    bind = "s = socket.socket(socket.AF_UNIX); s.bind('\\0in-web')"
    with visitor(web.pid, "network", code=bind):
        assert "@in-web" in said("cat /proc/net/unix", network=f"container:{NAME}")
        assert "@in-web" not in said("cat /proc/net/unix")


def test_system_v_shared_memory_is_shared_by_the_ipc_namespace(web: labrt.Container) -> None:
    make = "assert ctypes.CDLL(None).shmget(0x1ab, 4096, 0o1600) >= 0"
    with visitor(web.pid, "ipc", code=make):
        key = str(0x1AB)
        assert key in said("cat /proc/sysvipc/shm", ipc=f"container:{NAME}").split()
        assert key not in said("cat /proc/sysvipc/shm").split()


def test_posix_message_queues_are_shared_by_the_ipc_namespace(web: labrt.Container) -> None:
    make = "assert ctypes.CDLL(None).mq_open(b'/orders', 0o100, 0o600, None) >= 0"
    look = "mount -t mqueue mqueue /tmp && ls /tmp"
    with visitor(web.pid, "ipc", code=make):
        assert said(look, privileged=True, ipc=f"container:{NAME}") == "orders"
        assert said(look, privileged=True) == ""


def test_posix_shared_memory_comes_with_the_ipc_namespace_of_a_container() -> None:
    with labrt.run("busybox", ["sh", "-c", "echo 1 >/dev/shm/orders; sleep 60"], name=NAME) as c:
        shared = f"container:{NAME}"
        assert said("cat /dev/shm/orders; echo 2 >/dev/shm/bill", ipc=shared) == "1"
        assert said("cat /dev/shm/bill", ipc=shared) == "2"
        assert said("ls /dev/shm", ipc=f"pid:{c.pid}") == ""  # of any process: it may have none
        assert "noexec" in said("grep /dev/shm /proc/self/mounts", ipc=shared)


def test_the_host_name_is_shared_by_the_uts_namespace(web: labrt.Container) -> None:
    assert said("hostname", uts=f"container:{NAME}") == "web"
    assert said("hostname", uts="host") == os.uname().nodename


@needs_cgroups
def test_processes_see_and_may_end_each_other_in_a_shared_pid_namespace(
    web: labrt.Container,
) -> None:
    assert "sleep 4242" in said("ps", pid=f"container:{NAME}")
    assert "sleep 4242" not in said("ps")
    said("kill -9 -1", pid=f"container:{NAME}")
    assert web.wait(0) is None  # process 1 of a pid namespace takes no signal from inside


@needs_cgroups
def test_a_pod_shares_what_is_named_and_nothing_else(web: labrt.Container) -> None:
    pod = {name: f"container:{NAME}" for name in ("pid", "network", "ipc", "uts")}
    with labrt.run("busybox", ["sleep", "60"], **pod) as c:
        ours, its = namespaces.read(c.pid), namespaces.read(web.pid)
    same = {file for file in its if ours[file] == its[file] and not file.startswith("time")}
    assert same == {"pid", "pid_for_children", "net", "ipc", "uts", "user"}


@needs_cgroups
def test_a_member_of_a_pod_that_is_started_again_finds_the_others_new_namespaces() -> None:
    web = labrt.create("busybox", ["sleep", "60"], name=NAME)
    member: labrt.Handle | None = None
    try:
        web.start()
        member = labrt.create("busybox", ["sleep", "60"], network=f"container:{NAME}")
        for _start in range(2):
            member.start()
            pids = (member.status.pid, web.status.pid)
            assert len({namespaces.read(pid)["net"] for pid in pids}) == 1
            member.stop(0)
            web.stop(0)
            with pytest.raises(LabError, match=f"into the container '{NAME}': it is exited"):
                member.start()
            web.start()
    finally:
        for handle in filter(None, (member, web)):
            handle.remove(force=True)


# The host's.


def test_the_hosts_network_is_seen_but_not_ruled() -> None:
    inside = said("ls /sys/class/net; ip link set lo down", network="host")
    assert set(os.listdir("/sys/class/net")) <= set(inside.split())
    assert "not permitted" in inside


@needs_cgroups
def test_the_hosts_processes_are_seen_but_not_looked_into() -> None:
    look = f"ps; cat /proc/{os.getpid()}/environ; echo 1 >/proc/sys/vm/drop_caches"
    inside = said(look, pid="host")
    assert str(os.getpid()) in inside.split()
    assert "Permission denied" in inside
    assert "Read-only file system" in inside


def test_in_the_hosts_cgroup_namespace_its_own_cgroup_has_its_full_name() -> None:
    with labrt.run("busybox", ["sleep", "60"], cgroupns="host") as c:
        assert namespaces.read(c.pid)["cgroup"] == namespaces.read()["cgroup"]


@needs_root
def test_in_the_hosts_user_namespace_it_is_the_hosts_root_with_few_capabilities() -> None:
    status = said("grep -E 'CapBnd|Seccomp:|NoNew' /proc/self/status", userns="host")
    assert status.split() == ["CapBnd:", "00000000a80425fb", "NoNewPrivs:", "1", "Seccomp:", "2"]
    with labrt.run("busybox", ["sleep", "60"], userns="host") as c:
        assert os.stat(f"/proc/{c.pid}").st_uid == 0


@needs_root
def test_a_device_node_that_the_hosts_root_makes_opens_nothing() -> None:
    made = "mknod /dev/zero2 c 1 5; head -c1 /dev/zero2; mknod /zero2 c 1 5; head -c1 /zero2"
    assert said(made, userns="host").count("head: /") == 2


# The end of a container that isn't alone in its pid namespace.


def running(command: str) -> list[int]:
    """Return the pids of the host's processes with that command line."""
    wanted = command.replace(" ", "\0") + "\0"
    found = []
    for file in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            if file.read_text() == wanted:
                found.append(int(file.parent.name))
        except (OSError, UnicodeDecodeError):
            continue
    return found


DAEMON = "sleep 9876543"
LEAVE_A_DAEMON = ["sh", "-c", f"setsid {DAEMON} & setsid {DAEMON} & echo begun; wait"]


@needs_cgroups
@pytest.mark.parametrize("shared", [f"container:{NAME}", "host"])
def test_its_end_is_the_end_of_all_its_processes_and_of_no_others(
    web: labrt.Container, shared: str
) -> None:
    reader, writer = os.pipe()
    with (
        os.fdopen(reader) as marks,
        labrt.run("busybox", LEAVE_A_DAEMON, pid=shared, stdout=writer) as c,
    ):
        os.close(writer)
        assert marks.readline() == "begun\n"
        c.kill()
    assert running(DAEMON) == []
    assert web.wait(0) is None


@needs_cgroups
def test_the_end_of_the_namespaces_first_process_ends_all_in_it(web: labrt.Container) -> None:
    with labrt.run("busybox", ["sleep", "60"], pid=f"container:{NAME}") as c:
        web.kill()
        assert c.wait(30) == 128 + signal.SIGKILL


@needs_cgroups
def test_when_its_owner_is_killed_the_next_command_ends_all_its_processes() -> None:
    reader, writer = os.pipe()
    c = labrt.run("busybox", LEAVE_A_DAEMON, pid="host", stdout=writer)
    os.close(writer)
    with os.fdopen(reader) as marks:
        assert marks.readline() == "begun\n"
    record = state.read_record(Path(c.spec.state_dir))
    pidfd = os.pidfd_open(c.pid)
    assert record is not None
    os.kill(record.owner, signal.SIGKILL)
    assert child.readable(pidfd, 30)
    os.close(pidfd)
    with pytest.raises(LabError, match="the launcher ended"):
        c.wait(30)
    c.close()
    removal.remove_dead()
    assert running(DAEMON) == []


# Clocks.


@needs_time_namespaces
def test_its_clocks_are_ahead_by_what_was_asked() -> None:
    before = time.clock_gettime(time.CLOCK_BOOTTIME)
    ahead = said(
        "cut -d' ' -f1 /proc/uptime; cat /proc/self/timens_offsets",
        time_offset=["boottime=100000", "monotonic=-1.5"],
    ).split()
    assert 100000 <= float(ahead[0]) - before < 100060
    assert ahead[1:] == ["monotonic", "-2", "500000000", "boottime", "100000", "0"]


@needs_time_namespaces
def test_the_trace_is_in_the_hosts_time_whatever_the_containers_clock() -> None:
    with labrt.run("busybox", ["true"], time_offset=["monotonic=100000"]) as c:
        assert c.called < c.trace[0].start
        assert c.trace[-1].start + c.trace[-1].duration < time.monotonic_ns()
        assert c.trace[-1].side == "container"


# Settings.


def test_the_settings_of_its_own_namespaces_are_its_own() -> None:
    before = Path("/proc/sys/net/ipv4/ip_default_ttl").read_text()
    inside = said("cat /proc/sys/net/ipv4/ip_default_ttl", sysctl=["net.ipv4.ip_default_ttl=33"])
    assert inside == "33"
    assert Path("/proc/sys/net/ipv4/ip_default_ttl").read_text() == before


@needs_root
@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("kernel.shmmax", "12345"),
        ("kernel.sem", "100 200 30 40"),
        ("fs.mqueue.msg_max", "7"),
        ("kernel.domainname", "lab.test"),
        ("net/ipv4/conf/lo/forwarding", "1"),
    ],
)
def test_each_of_them_is_set_and_the_hosts_stays(name: str, value: str) -> None:
    file = Path("/proc/sys", *name.replace(".", "/").split("/"))
    before = file.read_text()
    assert said(f"cat {file}", sysctl=[f"{name}={value}"]).split() == value.split()
    assert file.read_text() == before


def test_a_setting_that_the_kernel_refuses_is_told_with_the_cause() -> None:
    with pytest.raises(LabError, match=r"SetSysctl: .*ENOENT.*no namespace but the host's has it"):
        said("true", sysctl=["net.ipv4.no_such_setting=1"])


# What can't be.


@pytest.mark.parametrize(
    ("options", "answer"),
    [
        ({"pid": "nonsense"}, r"--pid nonsense: not private, host, container:NAME, pid:N or ns:"),
        ({"uts": "container:"}, "--uts container:: not private"),
        ({"ipc": "container:no-such"}, "there is none of this name"),
        ({"ipc": "pid:4194399"}, "ENOENT"),
        ({"userns": "ns:/dev/null"}, "it is no namespace"),
        ({"uts": "ns:/proc/self/ns/net"}, "it is a network namespace"),
        ({"uts": "host", "hostname": "mine"}, "the uts namespace is shared.*leave out --hostname"),
        ({"sysctl": ["vm.swappiness=1"]}, "the whole machine's"),
        ({"sysctl": ["net.ipv4.ip_forward=1"], "network": "host"}, "that one is shared"),
        ({"sysctl": ["kernel.hostname=x"]}, "--hostname NAME"),
        ({"sysctl": ["net.ipv4.ip_forward"]}, "not NAME=VALUE"),
        ({"sysctl": ["net/../vm/swappiness=1"]}, "not NAME=VALUE"),
        ({"sysctl": ["net.//.vm.swappiness=1"]}, "not NAME=VALUE"),
        ({"sysctl": ["net.ipv4.ip_forward=1\n2"]}, "not NAME=VALUE"),
        ({"time_offset": ["realtime=1"]}, "not monotonic=SECONDS"),
        ({"time_offset": ["monotonic=soon"]}, "not monotonic=SECONDS"),
        ({"time_offset": ["boottime=nan"]}, "not monotonic=SECONDS"),
        ({"time_offset": ["boottime=-1e12"]}, "no clock below 0"),
        ({"time_offset": ["monotonic=1e12"]}, "it may go from"),
    ],
)
def test_what_cannot_be_is_refused_before_anything_is_made(
    options: dict[str, object], answer: str
) -> None:
    with pytest.raises(LabError, match=answer) as refused:
        labrt.run("busybox", ["true"], **options)
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize("userns", ["private", "pid:{other}"])
def test_a_namespace_and_another_user_namespace_than_its_owner_are_refused(
    web: labrt.Container, userns: str
) -> None:
    with labrt.run("busybox", ["sleep", "60"]) as other:
        wish = userns.format(other=other.pid)
        with pytest.raises(LabError, match="its owner is another user namespace"):
            labrt.run("busybox", ["true"], network=f"container:{NAME}", userns=wish)
        with pytest.raises(LabError, match="its owner is another user namespace"):
            labrt.run("busybox", ["true"], network=f"container:{NAME}", ipc=f"pid:{other.pid}")


def test_joining_a_process_that_has_ended_since_is_told_as_such(web: labrt.Container) -> None:
    spec = declare(store.resolve("busybox"), ["true"], uts=f"container:{NAME}")
    web.kill()
    clone = namespaces.Clone(spec.namespaces, None)
    with pytest.raises(OSError, match="No such file") as refused:
        clone.do(Context(spec))
    assert "has ended" in clone.likely(refused.value)[0]


@pytest.mark.skipif(os.geteuid() == 0, reason="for a user, who has no rights over the host's")
def test_a_user_is_refused_the_hosts_user_namespace() -> None:
    with pytest.raises(LabError, match="a user has no right to mount in it"):
        labrt.run("busybox", ["true"], userns="host")
