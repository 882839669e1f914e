"""A real `vagrant up` of the box that the project builds, by libvirt, where no network leads out.

The machine is emulated (LAB_ACCEL=tcg), which works everywhere.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
import tarfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.vagrant.apart import Apart
from tests.vagrant.conftest import another_version

UP_SECONDS = 900
SECONDS = 600
NOTEBOOKS = ("02_uts", "10_cgroups")
STUDENT = (
    "sudo --login --user=student env --chdir=/opt/lab PYTHONPATH=/opt/lab "
    "sh -c 'XDG_RUNTIME_DIR=/run/user/$(id -u) systemd-run --user --scope --quiet {}'"
)

# What libvirt has: domains, networks, volumes.
HOLDINGS = """
import libvirt
connection = libvirt.open("qemu:///system")
pools = connection.listAllStoragePools()
print([each.name() for each in connection.listAllDomains()])
print([each.name() for each in connection.listAllNetworks()])
print([volume.name() for pool in pools for volume in pool.listAllVolumes()])
"""

# JupyterLab by an address: the status of each answer.
ASK = """
import sys, urllib.error, urllib.request
for address in sys.argv[1:]:
    try:
        print(urllib.request.urlopen(address, timeout=60).status)
    except urllib.error.HTTPError as error:
        print(error.code)
    except OSError as error:
        print(type(error).__name__)
"""

pytestmark = [pytest.mark.slow, pytest.mark.timeout(2400)]


class Machine:
    """Vagrant's machine `lab` in a project."""

    def __init__(self, place: Apart, project: Path) -> None:
        self.place, self.project = place, project
        self.told = ""

    def vagrant(self, *words: str, timeout: float = SECONDS, **settings: str) -> str:
        given = {"LAB_ACCEL": "tcg", **settings}
        done = self.place.run("vagrant", *words, cwd=self.project, timeout=timeout, **given)
        assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
        return done.stdout

    def ssh(self, command: str) -> str:
        return self.vagrant("ssh", "-c", command)

    def python(self, script: str, *words: str) -> list[str]:
        """Run a script on the host, in the same place."""
        done = self.place.run(
            sys.executable, "-c", script, *words, cwd=self.project, timeout=SECONDS
        )
        assert done.returncode == 0, done.stderr
        return done.stdout.splitlines()


@pytest.fixture(scope="module")
def machine(built: Path, place: Apart) -> Iterator[Machine]:
    it = Machine(place, built)
    try:
        began = time.monotonic()
        it.told = it.vagrant("up", "--provider", "libvirt", timeout=UP_SECONDS)
        print(f"vagrant up: {time.monotonic() - began:.0f} s")
        yield it
    finally:
        place.run("vagrant", "destroy", "--force", cwd=built, timeout=SECONDS)


def test_the_doctor_is_content_and_the_address_is_told(machine: Machine) -> None:
    assert "./lab bench can run here" in machine.told
    assert re.search(
        r"JupyterLab is at http://127\.0\.0\.1:\d+/lab\?token=[0-9a-f]{48}", machine.told
    )


def test_the_box_s_own_set_up_was_all_that_was_needed(machine: Machine) -> None:
    assert "lab: nothing to change" in machine.told


def test_the_course_is_served_here_and_with_the_token_only(machine: Machine) -> None:
    found = re.search(r"(http://127\.0\.0\.1:(\d+))/lab\?token=([0-9a-f]+)", machine.told)
    assert found is not None
    address, port, token = found.groups()
    contents = f"{address}/api/contents"
    answers = machine.python(ASK, f"{contents}?token={token}", contents)
    assert answers == ["200", "403"]
    guest = machine.vagrant("ssh-config").split("HostName ")[1].split()[0]
    assert (
        machine.python(ASK, f"http://{guest}:8888/", f"http://{guest}:{port}/") == ["URLError"] * 2
    )


def test_nothing_of_the_network_that_it_was_built_in_is_in_it(machine: Machine) -> None:
    sources = machine.ssh("cat /etc/apt/sources.list /etc/apt/sources.list.d/* 2>/dev/null || true")
    archives = set(re.findall(r"https?://[^/ ]+", sources))
    assert archives == {"http://deb.debian.org"}
    left = machine.ssh(
        "ls /etc/pip.conf /etc/apt/preferences.d/lab-pins 2>/dev/null; "
        "grep -ri proxy /etc/apt /etc/environment || true"
    )
    assert left.strip() == ""


@pytest.mark.parametrize("name", NOTEBOOKS)
def test_a_lesson_executes_in_it(machine: Machine, name: str) -> None:
    if not (machine.project / "notebooks" / f"{name}.ipynb").exists():
        pytest.skip(f"the course has no {name} yet")
    lesson = f"notebooks/{name}.ipynb /home/student/{name}.ipynb"
    command = f".venv/bin/python -m tests.notebooks.execute {lesson} && echo executed"
    assert "executed" in machine.ssh(STUDENT.format(command))


def test_the_bench_makes_its_report_in_it(machine: Machine) -> None:
    """Its virtual machines, emulated by an emulated machine, may not start in time: that's told."""
    began = time.monotonic()
    told = machine.vagrant("ssh", "-c", "lab bench --quick --deadline 10", timeout=UP_SECONDS)
    print(f"lab bench --quick --deadline 10, inside: {time.monotonic() - began:.0f} s\n{told}")
    results = "/home/student/work/results/latest"
    assert "report.html" in machine.ssh(f"sudo ls {results}/")
    lines = machine.ssh(f"sudo cat {results}/observations.jsonl").splitlines()
    starts = [row for row in map(json.loads, lines) if row["experiment"] == "startup"]
    assert {row["subject"] for row in starts} == {"process", "labrt", "vm"}
    failed = {row["subject"]: row["reason"] for row in starts if row["status"] == "failed"}
    assert failed.keys() <= {"vm"} and all(failed.values())


def test_what_the_student_made_survives_updates_and_is_exported(
    machine: Machine, tmp_path: Path
) -> None:
    machine.ssh("sudo -u student sh -c 'echo mine > ~student/work/02_uts.ipynb'")
    machine.vagrant("rsync")
    told = machine.vagrant("provision")
    assert "lab: nothing to change" in told
    target = tmp_path / "work.tar"
    command = [sys.executable, "-m", "vagrant.export", "lab", "--to", target]
    done = machine.place.run(*command, cwd=machine.project, timeout=SECONDS, LAB_ACCEL="tcg")
    assert done.returncode == 0, done.stderr
    with tarfile.open(target) as work:
        lesson = work.extractfile("work/02_uts.ipynb")
        assert lesson is not None
        assert lesson.read() == b"mine\n"


def test_a_box_of_another_version_is_told_with_the_remedy(machine: Machine) -> None:
    with another_version(machine.project):
        done = machine.place.run(
            "vagrant", "up", cwd=machine.project, timeout=SECONDS, LAB_ACCEL="tcg"
        )
    assert "the box is of another version of the project (vagrant/packages.sh)" in (
        done.stdout + done.stderr
    )


def test_destroyed_it_leaves_only_the_box_itself(machine: Machine) -> None:
    assert "vm-container-lab" in machine.python(HOLDINGS)[0]
    machine.vagrant("destroy", "--force")
    domains, networks, volumes = machine.python(HOLDINGS)
    assert (domains, networks) == ("[]", "[]")
    assert re.fullmatch(r"\['vm-container-lab-[0-9a-f]{12}_vagrant_box_image_.*\.img'\]", volumes)
    assert machine.place.machines() == []
    bridges = subprocess.run(
        ["nsenter", f"--target={machine.place.pid}", "--net", "ls", "/sys/class/net"],
        capture_output=True,
        text=True,
    )
    assert "virbr" not in bridges.stdout


@contextmanager
def taken(place: Apart, port: int) -> Iterator[None]:
    """Somebody else listens there for the time of the block."""
    listen = (
        "import socket, time\n"
        f"listening = socket.create_server(('127.0.0.1', {port}))\n"
        "print('listening', flush=True); time.sleep(1e6)"
    )
    inside = ["nsenter", f"--target={place.pid}", "--net", "--"]
    process = subprocess.Popen([*inside, sys.executable, "-c", listen], stdout=subprocess.PIPE)
    try:
        assert process.stdout is not None
        assert process.stdout.readline() == b"listening\n"
        yield
    finally:
        process.kill()
        process.communicate()


def test_several_have_names_and_ports_of_their_own_none_of_which_was_taken(
    machine: Machine,
) -> None:
    """Ports 8888 and 8889 are what they would have."""
    two = {"LAB_COUNT": "2", "LAB_MEM": "2048"}
    try:
        with taken(machine.place, 8888):
            told = machine.vagrant("up", timeout=2 * UP_SECONDS, **two)
            found = dict(re.findall(r"(lab-\d): .*(http://127\.0\.0\.1:\d+)/lab\?token=", told))
            assert found == {"lab-1": "http://127.0.0.1:8890", "lab-2": "http://127.0.0.1:8889"}
            ask = [f"{address}/api" for address in found.values()]
            assert machine.python(ASK, *ask) == ["200", "200"]
            assert f"{found['lab-1']}/lab?token=" in machine.vagrant("provision", "lab-1", **two)
        assert machine.vagrant("ssh", "lab-2", "-c", "hostname", **two).strip() == "lab-2"
    finally:
        machine.vagrant("destroy", "--force", **two)
    assert not [words for words in machine.place.machines() if "vm-container-lab-" in words]
