"""What a container sees, what the host sees of it, and how it ends (through the library)."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
from pathlib import Path

import pytest

import labrt
from labrt import cgroups, child, launching, namespaces, removal, users
from labrt.errors import LabError
from labrt.launching import launcher
from labrt.spec import ALL_NAMESPACES
from tests.labrt.conftest import needs_cgroups, needs_root

pytestmark = pytest.mark.usefixtures("nothing_left")

ROOT = Path(__file__).parent.parent.parent
NS_FILES = {"mount": "mnt", "network": "net"}


def facts(*commands: str, **options: object) -> list[str]:
    """Run shell commands in one container; return what each wrote."""
    script = "; echo @@@; ".join(commands)
    return [
        part.strip()
        for part in labrt.output("busybox", ["sh", "-c", script], **options).split("@@@")
    ]


def test_inside_it_is_root_and_pid_1_with_a_name_of_its_own() -> None:
    uid, pid, hostname, ps = facts("id -u", "echo $$", "hostname", "ps | wc -l", hostname="inside")
    assert (uid, pid, hostname) == ("0", "1", "inside")
    assert int(ps) <= 4  # a header, the shell, ps, wc: none of the host's


def test_its_root_is_the_image_and_nothing_of_the_host() -> None:
    names, mounts = facts("ls /", "cat /proc/self/mountinfo")
    assert set(names.split()) == {
        *("bin", "dev", "etc", "lab", "proc", "root", "run", "sys", "tmp", "usr", "var")
    }
    assert " / / " in mounts.splitlines()[0]
    assert "- overlay overlay" in mounts.splitlines()[0]
    assert str(Path.home()) not in mounts or str(Path.home()) == "/"


def test_its_only_interface_is_a_loopback_that_answers() -> None:
    interfaces, ping = facts("ls /sys/class/net", "ping -c1 -W2 127.0.0.1 >/dev/null; echo $?")
    assert (interfaces, ping) == ("lo", "0")


def test_the_kernels_settings_and_secrets_are_out_of_reach() -> None:
    written, kcore, timers = facts(
        "echo 1 2>&1 >/proc/sys/vm/drop_caches",
        "head -c1 /proc/kcore 2>/dev/null | wc -c",
        "cat /proc/timer_list | wc -c",
    )
    assert "Read-only file system" in written
    assert (kcore, timers) == ("0", "0")


def test_it_has_dockers_capabilities_and_can_win_none() -> None:
    status = dict(
        line.split(":\t") for line in facts("grep -E 'Cap|NoNew' /proc/1/status")[0].splitlines()
    )
    assert status["CapEff"] == status["CapPrm"] == status["CapBnd"] == "00000000a80425fb"
    assert status["NoNewPrivs"] == "1"


def test_it_inherits_three_descriptors_and_no_more() -> None:
    leaked = os.open("/", os.O_RDONLY)  # inheritable or not, it stays on the host
    os.set_inheritable(leaked, True)
    try:
        (listed,) = facts("ls /proc/1/fd")
    finally:
        os.close(leaked)
    assert set(listed.split()) <= {"0", "1", "2", "3"}  # 3: the folder that ls itself reads


def test_device_nodes_are_the_harmless_few() -> None:
    nodes, null = facts("ls /dev", "echo gone >/dev/null; cat /dev/null | wc -c")
    assert {"null", "zero", "full", "random", "urandom", "tty", "pts", "shm"} <= set(nodes.split())
    assert not {"kvm", "mem", "sda", "vda"} & set(nodes.split())
    assert null == "0"


def test_the_host_sees_the_same_process_in_other_namespaces() -> None:
    with labrt.run("busybox", ["sleep", "60"]) as c:
        ours, its = namespaces.read(), namespaces.read(c.pid)
        for name in ALL_NAMESPACES:
            file = NS_FILES.get(name, name)
            assert its[file] != ours[file], name
        assert Path(f"/proc/{c.pid}/comm").read_text().strip() == "sleep"


@needs_root
def test_its_root_is_nobody_outside() -> None:
    with labrt.run("busybox", ["sleep", "60"]) as c:
        assert os.stat(f"/proc/{c.pid}").st_uid == users.ROOT_ID_BASE


def test_what_one_writes_no_other_sees() -> None:
    assert facts("echo mine >/file", "cat /file")[1] == "mine"
    assert "No such file" in facts("cat /file")[0]


def test_a_read_only_root_refuses() -> None:
    assert "Read-only file system" in facts("touch /file", read_only=True)[0]


def test_environment_and_arguments_arrive() -> None:
    assert facts('echo "$GREETING"', env=["GREETING=hello there"]) == ["hello there"]


@pytest.mark.parametrize(("script", "code"), [("exit 7", 7), ("exit 0", 0), ("false", 1)])
def test_the_exit_code_is_the_programs(script: str, code: int) -> None:
    with labrt.run("busybox", ["sh", "-c", script]) as c:
        assert c.wait(30) == code


def test_a_signals_death_is_128_and_its_number() -> None:
    with labrt.run("busybox", ["sleep", "60"]) as c:
        assert c.kill() == 128 + signal.SIGKILL


def test_stop_asks_politely_first() -> None:
    reader, writer = os.pipe()
    with labrt.run("busybox", stdout=writer) as c, os.fdopen(reader) as marks:
        os.close(writer)
        assert marks.readline() == "lab:init\n"
        assert marks.readline() == "lab:ready\n"
        assert c.stop(timeout=30) == 0


def test_stop_kills_what_does_not_listen() -> None:
    with labrt.run("busybox", ["sleep", "60"]) as c:  # as pid 1 it has no handler for SIGTERM
        assert c.stop(timeout=0.1) == 128 + signal.SIGKILL


@pytest.mark.parametrize(
    ("program", "answer"),
    [("nosuch", "ENOENT.*no program 'nosuch'"), ("/etc", "EACCES.*not executable")],
)
def test_a_program_that_cannot_run_is_an_error_with_the_cause(program: str, answer: str) -> None:
    with pytest.raises(LabError, match=f"Exec: execve {program}: {answer}"):
        labrt.run("busybox", [program])


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"memory": "much"}, "set the memory limit to 'much': not a size"),
        ({"memory": "0"}, "not a size"),
        ({"cpus": "two"}, "set the CPU limit to 'two': not a number"),
        ({"cpus": "nan"}, "not a number"),
        ({"cpus": "-1"}, "not a number"),
        ({"pids_limit": "1.5"}, "not a whole number"),
        ({"hostname": "no spaces"}, "not a host name"),
    ],
)
def test_a_wrong_option_is_refused_before_anything_is_made(
    options: dict[str, str], said: str
) -> None:
    with pytest.raises(LabError, match=said):
        labrt.run("busybox", ["true"], **options)  # type: ignore[arg-type]


@needs_cgroups
def test_its_limits_are_in_force_and_too_much_memory_kills() -> None:
    with labrt.run("busybox", ["sh", "-c", "head -c 100m /dev/zero | tail"], memory="16m") as c:
        assert c.cgroup is not None
        assert c.wait(60) != 0
    with labrt.run("busybox", ["sleep", "60"], memory="16m", pids_limit=5) as c:
        assert c.cgroup is not None
        assert c.cgroup.processes() == [c.pid]
        assert c.cgroup.read("pids.max").strip() == "5"


@pytest.mark.skipif(cgroups.unavailable() is None, reason="this user may make cgroups")
def test_a_limit_that_cannot_be_kept_is_refused_not_dropped() -> None:
    with pytest.raises(LabError, match=r"limit memory\.max"):
        labrt.run("busybox", ["true"], memory="64m")


def test_containers_start_from_many_threads() -> None:
    said: list[str] = []
    threads = [
        threading.Thread(target=lambda n=n: said.extend(facts(f"echo {n}"))) for n in range(6)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(said) == [str(n) for n in range(6)]


def test_many_starts_leave_no_descriptor_in_the_launcher() -> None:
    facts("true")
    folder = Path(f"/proc/{launcher().pid}/fd")
    before = len(list(folder.iterdir()))
    for _ in range(20):
        facts("true")
    # The last connection's hang-up may still be on its way; a leak would be 20.
    assert len(list(folder.iterdir())) <= before + 1


def test_when_the_launcher_is_killed_its_containers_end_and_are_cleaned_up() -> None:
    c = labrt.run("busybox", ["sleep", "60"])
    pidfd = os.pidfd_open(c.pid)
    os.kill(launcher().pid, signal.SIGKILL)
    with pytest.raises(LabError, match="the launcher ended"):
        c.wait(30)
    assert child.readable(pidfd, 30), "PR_SET_PDEATHSIG ends the container"
    os.close(pidfd)
    c.close()
    assert removal.remove_dead() == [c.id]


def test_a_launcher_whose_folder_has_been_cleaned_away_ends_all_the_same() -> None:
    it = launcher()
    shutil.rmtree(Path(it.address).parent)
    launching.close_launcher()
    assert not it.alive()


def test_remove_all_ends_the_living_too() -> None:
    c = labrt.run("busybox", ["sleep", "60"])
    assert removal.remove_all() == [c.id]
    c.close()


@pytest.mark.parametrize("umask", [0o027, 0o077])
def test_whatever_the_umask_it_starts_and_its_program_has_the_usual_one(umask: int) -> None:
    launching.close_launcher()  # which has one of its own
    before = os.umask(umask)
    try:
        assert labrt.output("busybox", ["sh", "-c", "umask"]) == "0022\n"
    finally:
        launching.close_launcher()
        os.umask(before)


@pytest.mark.parametrize(
    "nonsense", [b"\xff", b"{", b"7", b"{}", b'{"unknown": 1}', b'{"spec": 1}']
)
def test_nonsense_said_to_the_launcher_ends_nobodys_container(nonsense: bytes) -> None:
    with labrt.run("busybox", ["sleep", "60"]) as running:
        with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as way:
            way.connect(launcher().address)
            way.send(nonsense)
            way.recv(4096)  # an error, or the end
        assert running.wait(0) is None
        assert labrt.output("busybox", ["echo", "on"]) == "on\n"


# Becomes root of a user namespace with ids of its own, as a container's root is, and runs labrt.
AS_A_CONTAINERS_ROOT = """
import os, sys
from labrt import syscalls, users
ready, go = os.pipe(), os.pipe()
if (child := os.fork()) == 0:
    syscalls.unshare(syscalls.CLONE_NEWUSER)
    os.write(ready[1], b"1")
    os.read(go[0], 1)
    os.setgroups([]), os.setgid(0), os.setuid(0)
    os.execv(sys.executable, [sys.executable, "-m", "labrt.cli", *sys.argv[1:]])
os.read(ready[0], 1)
for kind, maps in zip(("uid", "gid"), users.mappings()):
    users.write_map(child, kind, maps)
os.write(go[1], b"1")
sys.exit(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
"""


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root, who maps 65,536 ids")
def test_root_of_a_user_namespace_maps_of_its_own_ids_all_but_root() -> None:
    with tempfile.TemporaryDirectory(prefix="lab-inner-") as folder:
        os.chown(folder, users.ROOT_ID_BASE, users.ROOT_ID_BASE)
        own = {"LAB_HOME": f"{folder}/home", "LAB_RUN": f"{folder}/run", "PYTHONPATH": str(ROOT)}

        def inner(*words: str) -> str:
            command = [sys.executable, "-c", AS_A_CONTAINERS_ROOT, *words]
            done = subprocess.run(
                command, env={**os.environ, **own}, capture_output=True, text=True, timeout=60
            )
            assert (done.returncode, done.stderr) == (0, "")
            return done.stdout

        inner("image", "base", "busybox")
        assert inner("run", "busybox", "cat", "/proc/self/uid_map").split() == ["0", "1", "65535"]
