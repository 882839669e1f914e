"""`./lab machine`: the same disk by QEMU alone, up, in, down, and gone."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import socket
import subprocess
import sys
import tarfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

import vagrant.machine as machine_module
from tests.vagrant import offline
from tests.vagrant.apart import Apart
from tests.vagrant.conftest import another_version
from tests.vagrant.in_class import Class

ROOT = Path(__file__).parent.parent.parent
SECONDS = 900


def refused(
    home: Path,
    *words: str,
    project: Path = ROOT,
    inside: tuple[str | Path, ...] = (),
    **settings: str,
) -> str:
    """Run a verb that must fail; return its only line."""
    done = subprocess.run(
        [*inside, sys.executable, "-m", "vagrant.machine", *words],
        cwd=project,
        env={**os.environ, "PYTHONPATH": str(project), "LAB_HOME": str(home), **settings},
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode != 0
    assert done.stderr.count("\n") == 1
    return done.stderr


@pytest.mark.parametrize("setting", ["LAB_MEM=12", "LAB_CPUS=none", "LAB_PORT=80"])
def test_a_setting_that_can_t_be_is_refused(tmp_path: Path, setting: str) -> None:
    name, value = setting.split("=")
    assert f"{setting}. Remedy: a whole number from" in refused(tmp_path, "up", **{name: value})


def test_what_needs_a_running_machine_says_how_to_start_it(tmp_path: Path) -> None:
    assert refused(tmp_path, "ssh") == (
        "lab: reach the machine: it doesn't run. Remedy: ./lab machine up\n"
    )


def test_a_verb_that_there_is_none_of_is_refused(tmp_path: Path) -> None:
    assert "invalid choice: 'start'" in refused(tmp_path, "start")


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    """A copy of what `./lab machine` needs of the project, with an empty disk for a box."""
    folder = tmp_path / "project"
    for name in ("bench", "labrt", "vagrant"):
        shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
    (folder / "boxes").mkdir()
    disk = folder / "boxes" / "lab.qcow2"
    subprocess.run(["qemu-img", "create", "-q", "-f", "qcow2", disk, "64M"], check=True)
    return folder


def test_without_a_box_it_says_where_one_comes_from(copy: Path, tmp_path: Path) -> None:
    (copy / "boxes" / "lab.qcow2").unlink()
    said = refused(tmp_path / "home", "up", project=copy)
    assert said.startswith(f"lab: start the machine: no {copy}/boxes/lab.qcow2. Remedy: sudo ./lab")


@pytest.mark.skipif(os.geteuid() != 0, reason="mounts a small file system")
def test_without_room_it_says_how_much_is_needed_and_nothing_is_half_made(
    copy: Path, tmp_path: Path
) -> None:
    home = tmp_path / "home"
    home.mkdir()
    script = 'mount -t tmpfs -o size=1m tmpfs "$0"; trap "ls $0/machine >$0.left" EXIT; "$@"'
    small = ("unshare", "--mount", "sh", "-c", script, home)
    said = refused(home, "up", project=copy, inside=small)
    assert said.startswith(f"lab: make the machine's disk: 0.0 GB free in {home}/machine, 2.1 are")
    assert "Remedy: free some, or set LAB_HOME" in said
    assert home.with_suffix(".left").read_text() == ""


def test_a_port_that_is_taken_is_not_chosen() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        assert machine_module._free_port(port) > port


# JupyterLab by an address, asked inside the machine: the status of each answer.
ASK = """
import sys, urllib.error, urllib.request
for address in sys.argv[1:]:
    try:
        print(urllib.request.urlopen(address, timeout=60).status)
    except urllib.error.HTTPError as error:
        print(error.code)
"""

CLASS = "sudo /opt/lab/vagrant/class.sh"


MODULES = {"machine": "vagrant.machine", "export": "vagrant.export", "clean": "bench.clean"}


class Machine:
    """The machine of a project, in a place and with a LAB_HOME of its own."""

    def __init__(self, place: Apart, project: Path) -> None:
        self.place, self.project = place, project
        self.home = place.folder / "home"
        self.told = ""

    def lab(self, verb: str, *words: str | Path) -> subprocess.CompletedProcess[str]:
        settings = {"LAB_ACCEL": "tcg", "LAB_MEM": "2048"}
        settings |= {"LAB_HOME": str(self.home), "LAB_RUN": str(self.place.folder / "run")}
        command = [sys.executable, "-m", MODULES[verb], *words]
        done = self.place.run(*command, cwd=self.project, timeout=SECONDS, **settings)
        assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]
        return done

    def up(self) -> str:
        done = self.lab("machine", "up")
        return done.stdout + done.stderr

    def ssh(self, command: str) -> str:
        return self.lab("machine", "ssh", command).stdout

    def put(self, folder: Path, to: str) -> None:
        """Copy a folder's content into the machine."""
        way = shlex.join([sys.executable, "-m", "vagrant.machine", "ssh"])
        there = f"sudo mkdir -p {to} && sudo tar -x -C {to}"
        done = self.place.run(
            *("sh", "-ec", f'tar -c -C "$0" . | {way} "$1"', folder, there),
            cwd=self.project,
            timeout=SECONDS,
            LAB_HOME=str(self.home),
        )
        assert done.returncode == 0, done.stderr


@pytest.fixture(scope="module")
def machine(built: Path, place: Apart) -> Iterator[Machine]:
    it = Machine(place, built)
    try:
        began = time.monotonic()
        it.told = it.up()
        print(f"lab machine up: {time.monotonic() - began:.0f} s")
        yield it
    finally:
        it.lab("machine", "down", "--destroy")


@pytest.mark.slow
@pytest.mark.timeout(2400)
def test_it_comes_up_green_and_tells_its_address(machine: Machine) -> None:
    assert "./lab bench can run here" in machine.told
    assert "lab: nothing to change" in machine.told
    assert re.search(r"http://127\.0\.0\.1:8888/lab\?token=[0-9a-f]{48}", machine.told)


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_the_key_that_everybody_knows_does_not_open_it(machine: Machine) -> None:
    assert "vagrant insecure public key" not in machine.ssh("cat .ssh/authorized_keys")


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_the_base_images_are_in_it(machine: Machine) -> None:
    names = [line.split()[0] for line in machine.ssh("lab labrt images").splitlines()[1:]]
    assert names == ["busybox", "debian", "python"]


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_a_container_s_limit_holds_there_without_root(machine: Machine) -> None:
    told = machine.ssh("lab run --memory 64M busybox cat /sys/fs/cgroup/memory.max")
    assert told.strip() == str(64 << 20)


@pytest.mark.slow
@pytest.mark.timeout(1200)
def test_a_class_has_a_user_each_with_limits_and_a_jupyterlab_of_their_own(
    machine: Machine,
) -> None:
    """vagrant/class.sh, in the machine as on a server."""
    told = machine.ssh(f"{CLASS} add anna ben")
    found = dict(re.findall(r"^(\w+): ssh .*token=([0-9a-f]{48})$", told, re.MULTILINE))
    assert set(found) == {"anna", "ben"}
    ports = dict(re.findall(r"^(\w+): ssh -L 8888:127\.0\.0\.1:(\d+)", told, re.MULTILINE))
    anna, ben = (f"http://127.0.0.1:{ports[name]}/api/contents" for name in ("anna", "ben"))
    addresses = (
        f"{anna}?token={found['anna']} {ben}?token={found['ben']} {ben}?token={found['anna']}"
    )
    script = shlex.quote(ASK)
    assert machine.ssh(f"python3 -c {script} {addresses}").split() == ["200", "200", "403"]

    properties = machine.ssh(
        "systemctl show --property=MemoryMax,TasksMax user-$(id -u anna).slice"
    )
    assert set(properties.split()) == {f"MemoryMax={2 << 30}", "TasksMax=1000"}
    limited = "lab run --memory 64M busybox cat /sys/fs/cgroup/memory.max"
    assert machine.ssh(f"sudo --login --user=anna {limited}").strip() == str(64 << 20)
    private = "/home/anna /home/anna/work /home/anna/.config"
    assert machine.ssh(f"sudo --login --user=ben ls {private}; true") == ""

    machine.ssh(f"{CLASS} remove anna ben")
    assert machine.ssh(f"{CLASS} list") == ""
    assert machine.ssh("ls -d /home/*").split() == ["/home/student", "/home/vagrant"]
    assert machine.ssh("ls -d /etc/systemd/system/user-*; true") == ""


OFFLINE = "PIP_NO_INDEX=1 PIP_FIND_LINKS=/var/tmp/wheels"
LIMITED = """
import subprocess
command = ["/opt/lab/lab", "run", "--memory", "64M", "busybox", "cat", "/sys/fs/cgroup/memory.max"]
print(subprocess.run(command, capture_output=True, text=True).stdout.strip())
"""


@pytest.fixture
def in_class(machine: Machine, tmp_path: Path) -> Class:
    """JupyterHub, of packages fetched on this host, and a class of two."""
    wanted = ["nodejs", "node-configurable-http-proxy", "openssl"]
    status = machine.ssh("cat /var/lib/dpkg/status")
    machine.put(offline.packages(wanted, status, tmp_path), "/var/tmp/debs")
    machine.put(offline.python_packages(), "/var/tmp/wheels")
    machine.ssh("sudo dpkg --install /var/tmp/debs/*.deb")
    began = time.monotonic()
    machine.ssh(f"sudo {OFFLINE} /opt/lab/vagrant/class.sh hub")
    print(f"class.sh hub: {time.monotonic() - began:.0f} s")
    return Class(machine.ssh, machine.ssh(f"{CLASS} add anna ben"))


@pytest.mark.slow
@pytest.mark.timeout(2400)
def test_jupyterhub_starts_each_one_s_jupyterlab_in_their_own_slice_where_limits_hold(
    machine: Machine, in_class: Class
) -> None:
    """What else it does is in test_class.py."""
    told = in_class.tell(
        "anna, ben = student('anna'), student('ben')\n"
        "print(anna.start(), ben.start())\n"
        f"print(anna.run({LIMITED!r}))\n"
        "print(anna.status('/user/anna/lab'), ben.status('/user/anna/lab'))"
    )
    assert told == ["True True", str(64 << 20), "", "200 403"]
    uid = machine.ssh("id -u anna").strip()
    slice = f"/user.slice/user-{uid}.slice"
    own = f"{slice}/user@{uid}.service/app.slice/lab-hub-server.service"
    assert in_class.servers("anna") == [f"0::{own}"]
    limits = machine.ssh(f"cat /sys/fs/cgroup{slice}/{{memory,pids,cpu}}.max")
    assert limits.split() == [str(2 << 30), "1000", "100000", "100000"]
    machine.ssh(f"{CLASS} remove anna ben && {CLASS} hub off")
    assert machine.ssh("ls -d /home/*").split() == ["/home/student", "/home/vagrant"]


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.parametrize("name", ["vagrant", "Ämne", "root; reboot"])
def test_a_class_takes_no_name_that_is_somebody_s_or_none(machine: Machine, name: str) -> None:
    told = machine.ssh(f"{CLASS} add {shlex.quote(name)} 2>&1; true")
    assert told.count("\n") == 1
    assert "Remedy: " in told


@pytest.mark.slow
@pytest.mark.timeout(2400)
def test_switched_off_and_on_it_has_kept_the_work_which_is_exported(
    machine: Machine, tmp_path: Path
) -> None:
    machine.ssh("sudo -u student sh -c 'echo mine > ~student/work/notes'")
    machine.lab("machine", "down")
    assert machine.place.machines() == []
    told = with_another_version(machine)
    assert "lab: nothing to change" in told
    assert "the box is of another version of the project (vagrant/packages.sh). Remedy: " in told
    machine.lab("export", "--to", tmp_path / "work.tar")
    with tarfile.open(tmp_path / "work.tar") as work:
        notes = work.extractfile("work/notes")
        assert notes is not None
        assert notes.read() == b"mine\n"


def with_another_version(machine: Machine) -> str:
    """Start it where the project isn't any more what its box was built of."""
    with another_version(machine.project):
        return machine.up()


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_lab_clean_switches_it_off_and_its_disk_stays(machine: Machine) -> None:
    removed = machine.lab("clean").stdout
    assert f"removed the running lab machine ({machine.home}/machine stays)\n" in removed
    assert machine.place.machines() == []
    assert (machine.home / "machine" / "disk.qcow2").exists()


@pytest.mark.slow
@pytest.mark.timeout(2400)
def test_destroyed_it_leaves_nothing(machine: Machine) -> None:
    machine.lab("machine", "down", "--destroy")
    assert not (machine.home / "machine").exists()
    assert machine.place.machines() == []
