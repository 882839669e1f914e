"""Containers of a normal user: with a range of ids in /etc/subuid, and without one.

Root becomes that user, in a mount namespace of the test's own: there /etc/subuid and /etc/subgid
hold what the test wants, and /dev/net/tun may be opened as udev has it on a desktop.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

import labrt
from labrt import state
from labrt.errors import LabError

ROOT = Path(__file__).parent.parent.parent
LABRT = (sys.executable, "-m", "labrt.cli")
DRIVER = Path(__file__).with_name("fault_driver.py")
USER = 65534  # nobody, who is in every /etc/passwd
FIRST = 1_000_000_000  # of the range: ids that no one else has

BECOME = """
mount --bind "$RANGE" /etc/subuid && mount --bind "$RANGE" /etc/subgid || exit
mount -t tmpfs -o mode=755 tmpfs /dev/net 2>/dev/null && mknod -m 666 /dev/net/tun c 10 200
exec setpriv --reuid=65534 --regid=65534 --clear-groups -- "$@"
"""

pytestmark = [
    pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user"),
    pytest.mark.skipif(not Path("/etc/subuid").exists(), reason="no /etc/subuid to lie over"),
]
needs_uidmap = pytest.mark.skipif(shutil.which("newuidmap") is None, reason="no newuidmap here")
needs_pasta = pytest.mark.skipif(
    shutil.which("pasta") is None or not Path("/dev/net/tun").exists(),
    reason="no pasta, or no /dev/net/tun",
)


@dataclass
class User:
    """A normal user with a LAB_HOME of their own, in which nobody else may look."""

    folder: Path

    def command(self, *command: str) -> list[str]:
        inside = ["unshare", "--mount", "--propagation", "private", "sh", "-c", BECOME, "sh"]
        return [*inside, *command]

    @property
    def environment(self) -> dict[str, str]:
        own = {"LAB_HOME": f"{self.folder}/home", "LAB_RUN": f"{self.folder}/run"}
        ours = {"HOME": str(self.folder), "PYTHONPATH": str(ROOT), "PYTHONDONTWRITEBYTECODE": "1"}
        return {**os.environ, **own, **ours, "RANGE": f"{self.folder}.range"}

    def python(self, *arguments: str, **how: object) -> subprocess.CompletedProcess[str]:
        command = self.command(sys.executable, *arguments)
        options = {"capture_output": True, "text": True, "timeout": 60, "cwd": "/", **how}
        return subprocess.run(command, env=self.environment, **options)  # type: ignore[call-overload]

    def labrt(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        return self.python("-m", "labrt.cli", *arguments)

    def left(self) -> list[str]:
        """What containers have left: folders, and processes of the network."""
        found = subprocess.run(["ps", "axo", "args"], capture_output=True, text=True).stdout
        pastas = [line for line in found.splitlines() if f"{self.folder}/" in line]
        folder = self.folder / "home" / "containers"
        return [p.name for p in folder.iterdir()] + pastas if folder.exists() else pastas


@contextmanager
def user(range_of_ids: str) -> Iterator[User]:
    # Not pytest's tmp_path: nobody else may pass through that one.
    folder = Path(tempfile.mkdtemp(prefix="lab-user-"))
    Path(f"{folder}.range").write_text(range_of_ids)
    os.chown(folder, USER, USER)
    someone = User(folder)
    made = someone.labrt("image", "base", "busybox")
    if "Permission denied" in made.stderr:
        pytest.skip(f"uid {USER} may not read the lab's folder")
    assert made.returncode == 0, made.stderr
    try:
        yield someone
        assert someone.left() == []
    finally:
        state.remove_tree(folder)
        Path(f"{folder}.range").unlink()


@pytest.fixture(scope="module")
def ranged() -> Iterator[User]:
    """A user whom /etc/subuid grants a range."""
    with user(f"somebody:1:1\nnobody:{FIRST}:65536\n") as someone:
        yield someone


@pytest.fixture(scope="module")
def single() -> Iterator[User]:
    """A user to whom it grants nothing: their own id is all that they can map."""
    with user("nobody:junk:65536\nsomebody:1000:65536\n") as someone:
        yield someone


def test_root_inside_is_the_user_outside(single: User) -> None:
    done = single.labrt("run", "busybox", "sh", "-c", "id -u; id -g; cat /proc/self/uid_map")
    assert (done.stderr, done.returncode) == ("", 0)
    assert done.stdout.split() == ["0", "0", "0", str(USER), "1"]


@needs_uidmap
def test_the_others_are_the_range_that_the_user_has(ranged: User) -> None:
    script = "cat /proc/self/uid_map /proc/self/gid_map"
    done = ranged.labrt("run", "busybox", "sh", "-c", script)
    assert (done.stderr, done.returncode) == ("", 0)
    assert done.stdout.split() == ["0", str(USER), "1", "1", str(FIRST), "65535"] * 2


@needs_uidmap
def test_the_range_may_be_granted_by_number() -> None:
    with user(f"{USER}:{FIRST}:10\n") as someone:
        done = someone.labrt("run", "--user", "10:9", "busybox", "id")
        assert (done.stderr, done.stdout) == ("", "uid=10 gid=9 groups=9\n")


@needs_uidmap
def test_a_user_by_name_has_groups_and_is_of_the_range_outside(ranged: User) -> None:
    script = "id; stat -c %u /proc/self; trap exit TERM; sleep 60 & wait"
    asked = ("--user", "nobody", "--group-add", "7")
    command = ranged.command(*LABRT, "run", *asked, "busybox", "sh", "-c", script)
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, text=True, env=ranged.environment, cwd="/"
    ) as process:
        assert process.stdout is not None
        said = process.stdout.readline() + process.stdout.readline()
        (folder,) = (ranged.folder / "home" / "containers").iterdir()
        first = state.read_status(folder).pid
        assert os.stat(f"/proc/{first}").st_uid == FIRST + 65533
        process.terminate()
    assert said == "uid=65534(nobody) gid=65534(nobody) groups=7,65534(nobody)\n65534\n"


@needs_uidmap
def test_files_are_given_away_as_package_managers_do_and_removed_by_the_user(ranged: User) -> None:
    script = "mkdir -m 700 /x && echo 1 >/x/y && chown -R 33:34 /x && ls -ln /"
    done = ranged.labrt("run", "busybox", "sh", "-c", script)
    assert "33       34" in done.stdout, done.stderr
    assert ranged.left() == []


@needs_uidmap
def test_killed_what_others_own_is_removed_by_the_next_command(ranged: User) -> None:
    script = "mkdir -m 700 /x; touch /x/y; chown -R 33:34 /x; echo ready; sleep 60"
    command = ranged.command(*LABRT, "run", "busybox", "sh", "-c", script)
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, text=True, env=ranged.environment, cwd="/"
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        process.kill()
        process.stdout.read()
    assert len(ranged.left()) == 1
    done = ranged.labrt("clean")
    assert done.stdout.startswith("removed lab-"), done.stderr
    assert ranged.left() == []


LAYERED = """
import io, json, sys, tarfile
from labrt.images import making, store
buffer = io.BytesIO()
with tarfile.open(fileobj=buffer, mode="w") as archive:
    for name, uid, gid, mode in json.loads(sys.argv[1]):
        member = tarfile.TarInfo(name)
        member.uid, member.gid, member.mode = uid, gid, mode
        kinds = {"folder": tarfile.DIRTYPE, "link": tarfile.LNKTYPE, "file": tarfile.REGTYPE}
        member.type, member.linkname = kinds[name.partition("-")[0]], "file-a" * (name == "link-a")
        archive.addfile(member)
base = store.resolve("busybox")
layer = making.layer(lambda stream: stream.write(buffer.getvalue()))
making.image("owned", [*making.layers(base), layer], base.config)
"""
OWNED = [["file-a", 7, 8, 0o4755], ["folder-b", 33, 33, 0o700], ["file-c", 0, 0, 0o644]]
OWNED += [["link-a", 0, 0, 0o4755]]


@pytest.fixture
def owned() -> Iterator[tuple[User, str]]:
    with user(f"nobody:{FIRST}:65536\n") as someone:
        made = someone.python("-c", LAYERED, json.dumps(OWNED))
        assert made.returncode == 0, made.stderr
        yield someone, "stat -c '%n %u %g %a' file-a folder-b file-c link-a"


@needs_uidmap
def test_an_images_files_have_the_owners_it_names(owned: tuple[User, str]) -> None:
    someone, script = owned
    done = someone.labrt("run", "owned", "sh", "-c", script)
    assert done.stdout.splitlines() == [
        "file-a 7 8 4755",
        "folder-b 33 33 700",
        "file-c 0 0 644",
        "link-a 7 8 4755",
    ], done.stderr
    layer = next((someone.folder / "home" / "layers").glob("*/file-a"))
    assert (layer.stat().st_uid, layer.stat().st_gid) == (FIRST + 6, FIRST + 7)


@needs_uidmap
def test_the_whole_home_is_removed_by_its_user(owned: tuple[User, str]) -> None:
    someone, script = owned
    assert someone.labrt("run", "owned", "true").returncode == 0
    (someone.folder / "home" / ".made-by-the-lab").touch()
    code = "import sys; from bench import clean; clean.KEPT_THINGS = clean.KEPT_THINGS[:1]; "
    done = someone.python("-c", f"{code} sys.exit(clean.main(['--all']))")
    assert done.returncode == 0, done.stderr
    assert not (someone.folder / "home").exists()


def test_without_a_range_all_of_an_image_is_its_roots() -> None:
    with user("") as someone:
        assert someone.python("-c", LAYERED, json.dumps(OWNED)).returncode == 0
        done = someone.labrt("run", "owned", "stat", "-c", "%u %g", "file-a", "folder-b")
        assert done.stdout == "0 0\n0 0\n", done.stderr


@needs_uidmap
def test_an_owner_beyond_the_range_is_refused_and_leaves_nothing() -> None:
    with user(f"nobody:{FIRST}:10\n") as someone:
        assert someone.python("-c", LAYERED, json.dumps(OWNED)).returncode == 0
        done = someone.labrt("run", "owned", "true")
        assert (done.returncode, done.stderr.count("\n")) == (125, 1)
        assert "owned by 33; containers have 11 ids" in done.stderr
        assert not list((someone.folder / "home" / "layers").glob(".new-*"))


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        (("--user", "nobody"), "only id 0 is mapped"),
        (("--group-add", "7"), "only one group id is mapped"),
    ],
)
def test_without_a_range_another_user_is_refused_with_the_remedy(
    single: User, asked: tuple[str, ...], said: str
) -> None:
    done = single.labrt("run", *asked, "busybox", "true")
    assert (done.returncode, done.stderr.count("\n")) == (125, 1)
    assert said in done.stderr
    assert "--add-subuids" in done.stderr or "uidmap" in done.stderr


@pytest.mark.parametrize(
    ("asked", "remedy"),
    [(("--user", "7"), "apt-get install uidmap"), (("--network", "pasta"), "install passt")],
)
def test_a_missing_program_is_named_with_its_package(
    ranged: User, asked: tuple[str, ...], remedy: str
) -> None:
    command = ranged.command("env", "PATH=/nowhere", *LABRT, "run", *asked, "busybox", "true")
    done = subprocess.run(
        command, env=ranged.environment, cwd="/", capture_output=True, text=True, timeout=60
    )
    assert (done.returncode, done.stderr.count("\n")) == (125, 1)
    assert remedy in done.stderr


def test_pasta_is_not_for_root(home: Path) -> None:
    with pytest.raises(LabError, match="normal user's.*--network bridge"):
        labrt.run("busybox", ["true"], network="pasta")


def test_a_limit_is_refused_with_the_reason(single: User) -> None:
    done = single.labrt("run", "--memory", "64m", "busybox", "true")
    assert (done.returncode, done.stderr.count("\n")) == (125, 1)
    assert f"memory.max: uid {USER} may not make cgroups" in done.stderr
    assert "systemd-run --user" in done.stderr


@pytest.mark.parametrize("name", ["LAB_HOME", "LAB_RUN"])
def test_a_folder_of_somebody_else_is_one_line(single: User, tmp_path: Path, name: str) -> None:
    command = single.command(*LABRT, "run", "busybox", "true")
    other = {**single.environment, name: str(tmp_path / "other")}
    done = subprocess.run(command, env=other, cwd="/", capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stderr.count("\n")) == (125, 1), done.stderr
    assert str(tmp_path) in done.stderr


START = """
import os, sys
from labrt import container, interpreter, sealed
from labrt.declare import declare
from labrt.images import store
assert interpreter.needs_seal()
if sys.argv[1:] == ["sealed"]:
    fd = sealed.sealed_copy()
    os.set_inheritable(fd, True)
    os.execv(f"/proc/self/fd/{fd}", [sys.executable, "-c", os.environ["START"]])
# This Python has none of the lab's packages, and libseccomp's binding is one.
options = {"security_opt": ["seccomp=unconfined"]}
with container.start(declare(store.resolve("busybox"), ["echo", "ran"], **options)) as running:
    running.wait()
"""


@pytest.mark.parametrize(
    ("how", "said"), [("", "protect .*: its owner is a user of the container"), ("sealed", "^ran")]
)
def test_a_python_that_the_user_could_overwrite_starts_containers_only_from_a_sealed_copy(
    single: User, how: str, said: str
) -> None:
    own = single.folder / "python"
    shutil.copy(Path(sys.executable).resolve(), own)
    os.chown(own, USER, USER)
    command = single.command(str(own), "-c", START, *filter(None, [how]))
    environment = {**single.environment, "START": START}
    done = subprocess.run(
        command, env=environment, cwd="/", capture_output=True, text=True, timeout=60
    )
    assert re.search(said, done.stdout + done.stderr), done.stderr


def outer_address() -> str:
    """The host's address on the way out; no packet is sent for that."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(("192.0.2.99", 9))
        except OSError:
            pytest.skip("this host has no route")
        address: str = probe.getsockname()[0]
        return address


@needs_pasta
def test_pasta_keeps_the_hosts_loopback_to_the_host(single: User) -> None:
    outer_address()
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        script = (
            f"for a in 127.0.0.1 $(ip route | sed -n 's/default via \\([^ ]*\\).*/\\1/p');"
            f" do nc -w 2 $a {port} </dev/null; done; ls /sys/class/net | wc -l"
        )
        done = single.labrt("run", "--network", "pasta", "busybox", "sh", "-c", script)
        assert done.stdout.strip() == "2", done.stderr  # lo and pasta's
        listener.setblocking(False)
        with pytest.raises(BlockingIOError):
            listener.accept()  # nobody came


SERVER = """
import socket
with socket.create_server(("198.51.100.7", 80)) as listener:
    with listener.accept()[0] as connection:
        connection.recv(1000)
        connection.sendall(b"HTTP/1.0 200 OK\\r\\nContent-Length: 18\\r\\n\\r\\nhello from outside")
"""
HOST = """
ip link set lo up; ip link add out type veth peer name far && ip link set far up
ip address add 192.0.2.2/24 dev out && ip link set out up && ip route add default via 192.0.2.1
ip address add 198.51.100.7/32 dev lo
"$PYTHON" -c "$SERVER" >/dev/null 2>&1 &
"$@"
kill $!
"""


@needs_pasta
@pytest.mark.skipif(shutil.which("ip") is None, reason="no ip(8) to lay out a network")
def test_pasta_reaches_a_server_outside(single: User) -> None:
    """On a host of its own: a network namespace with a route and one more address."""
    # Again until the server listens.
    once = "timeout 5 wget -qO- http://198.51.100.7"
    script = f"for i in 1 2 3 4 5; do {once} && break; sleep 1; done"
    inside = single.command(*LABRT, "run", "--network", "pasta", "busybox", "sh", "-c", script)
    done = subprocess.run(
        ["unshare", "--net", "sh", "-c", HOST, "sh", *inside],
        env={**single.environment, "PYTHON": sys.executable, "SERVER": SERVER},
        cwd="/", capture_output=True, text=True, timeout=60,
    )  # fmt: skip
    assert done.stdout == "hello from outside", done.stderr


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port: int = probe.getsockname()[1]
        return port


@contextmanager
def serving(someone: User, port: int) -> Iterator[subprocess.Popen[str]]:
    """A container that says hello on a published port, as often as it is asked."""
    script = "trap exit TERM; echo ready; while :; do echo hello | nc -l -p 80 & wait $!; done"
    options = ("--network", "pasta", "-p", f"127.0.0.1:{port}:80")
    command = [*LABRT, "run", *options, "busybox", "sh", "-c", script]
    with subprocess.Popen(
        someone.command(*command),
        stdout=subprocess.PIPE,
        text=True,
        env=someone.environment,
        cwd="/",
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        try:
            yield process
        finally:
            process.terminate()


def told(port: int) -> str:
    """What is said on that port; asked again while nobody inside listens yet."""
    for _ in range(50):
        with socket.create_connection(("127.0.0.1", port), timeout=10) as client:
            try:
                if text := client.recv(100).decode():
                    return text
            except ConnectionResetError:
                pass
        time.sleep(0.1)
    return ""


@needs_pasta
def test_a_published_port_leads_in_until_the_container_ends(single: User) -> None:
    outer_address()
    port = free_port()
    with serving(single, port):
        assert told(port) == "hello\n"
        taken = ("--network", "pasta", "-p", f"127.0.0.1:{port}:80", "busybox", "true")
        done = single.labrt("run", *taken)
        assert (done.returncode, done.stderr.count("\n")) == (125, 1)
        assert "the host's port is taken" in done.stderr
    with pytest.raises(ConnectionRefusedError):
        told(port)
    assert single.left() == []


@needs_pasta
def test_killed_its_pasta_is_ended_by_the_next_command(single: User) -> None:
    outer_address()
    port = free_port()
    with serving(single, port) as process:
        process.kill()
    assert len(single.left()) == 2  # folder and pasta
    assert single.labrt("run", "busybox", "true").returncode == 0
    assert single.left() == []
    with pytest.raises(ConnectionRefusedError):
        told(port)


@needs_pasta
@needs_uidmap
@pytest.mark.slow
@pytest.mark.timeout(300)
def test_nothing_is_left_whatever_step_fails_or_dies(ranged: User) -> None:
    outer_address()
    done = ranged.python(
        str(DRIVER), json.dumps({"network": "pasta", "rm": True}), "fail", "die", timeout=280
    )
    assert done.returncode == 0, done.stderr
    faults = [json.loads(line) for line in done.stdout.splitlines()]
    assert {"StartPasta", "WriteIdMap", "SwitchUser"} <= {name for name, *_ in faults}
    assert [fault for fault in faults if fault[3]] == []
