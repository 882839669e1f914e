"""The Vagrantfile under its settings: what it takes, what it refuses, which box it chooses.

By Vagrant itself; the matrix of wrong values by plain Ruby, which loads vagrant/lab.rb alone.
"""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent.parent

pytestmark = pytest.mark.skipif(
    shutil.which("vagrant") is None, reason="no vagrant; apt-get install vagrant vagrant-libvirt"
)


def run(
    *command: str | Path, cwd: Path = ROOT, **settings: str
) -> subprocess.CompletedProcess[str]:
    """Run with these of the lab's settings and no others."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("LAB_")}
    return subprocess.run(
        command, cwd=cwd, env={**kept, **settings}, capture_output=True, text=True, timeout=60
    )


@pytest.fixture(scope="module")
def vagrant_home(tmp_path_factory: pytest.TempPathFactory) -> str:
    return str(tmp_path_factory.mktemp("vagrant-home"))


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A copy of what the Vagrantfile needs, without boxes."""
    shutil.copy(ROOT / "Vagrantfile", tmp_path)
    (tmp_path / "vagrant").mkdir()
    for name in ("lab.rb", "host.rb", "not-synced"):
        shutil.copy(ROOT / "vagrant" / name, tmp_path / "vagrant")
    return tmp_path


def ruby(project: Path, expression: str, **settings: str) -> subprocess.CompletedProcess[str]:
    """Evaluate with the Vagrantfile's own functions."""
    return run("ruby", "-r", "./vagrant/lab.rb", "-e", expression, cwd=project, **settings)


def put_box(project: Path, **files: str) -> None:
    """Put boxes there by their facts: file → SHA-256."""
    (project / "boxes").mkdir()
    facts = {"files": {name: {"sha256": sum} for name, sum in files.items()}, "inputs": {}}
    (project / "boxes" / "box.json").write_text(json.dumps(facts))
    for name in files:
        (project / "boxes" / name).touch()


@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"LAB_ACCEL": "kvm", "LAB_NESTED": "1", "LAB_MEM": "2048", "LAB_CPUS": "1"},
        {"LAB_ACCEL": "tcg", "LAB_COUNT": "3", "LAB_PORT": "9000"},
        {"LAB_BOX": "some/box", "LAB_BOX_URL": "https://example.org/some.box"},
    ],
    ids=lambda settings: ",".join(settings) or "defaults",
)
def test_vagrant_finds_it_valid(settings: dict[str, str], vagrant_home: str) -> None:
    done = run("vagrant", "validate", **settings, VAGRANT_HOME=vagrant_home)
    assert done.returncode == 0, done.stderr
    assert "validated successfully" in done.stdout


def test_a_wrong_value_ends_vagrant_with_one_line(vagrant_home: str) -> None:
    done = run("vagrant", "status", LAB_MEM="12", VAGRANT_HOME=vagrant_home)
    assert done.returncode == 1
    assert done.stderr == "lab: LAB_MEM=12. Remedy: a whole number from 1024 to 999999\n"


def test_several_machines_have_names_and_numbers(vagrant_home: str) -> None:
    done = run("vagrant", "status", "--machine-readable", LAB_COUNT="3", VAGRANT_HOME=vagrant_home)
    lines = [line.split(",") for line in done.stdout.splitlines()]
    assert {line[1] for line in lines if line[2] == "state"} == {"lab-1", "lab-2", "lab-3"}


@pytest.mark.parametrize("said", ["0", "65", "two", "-1", "2.5", "1e1", " 2", "9999999"])
def test_a_number_out_of_its_range_is_refused(project: Path, said: str) -> None:
    done = ruby(project, "puts Lab.number('LAB_CPUS', 2, 1..64)", LAB_CPUS=said)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == f"lab: LAB_CPUS={said}. Remedy: a whole number from 1 to 64\n"


def test_an_accelerator_that_is_none_is_refused(project: Path) -> None:
    done = ruby(project, "Lab.accelerator", LAB_ACCEL="xen")
    assert done.stderr == "lab: LAB_ACCEL=xen. Remedy: kvm or tcg\n"


def up(project: Path, *before: str | Path, **settings: str) -> str:
    """`vagrant up`, which must be refused; return the only line of it on standard error."""
    command = (*before, "vagrant", "up", "--provider", "libvirt")
    done = run(*command, cwd=project, **settings)
    assert done.returncode == 1
    assert done.stderr.count("\n") == 1, done.stderr
    return done.stderr


def test_without_a_provider_it_says_what_to_install(project: Path, vagrant_home: str) -> None:
    said = up(project, VAGRANT_HOME=vagrant_home, VAGRANT_NO_PLUGINS="1", VBOX_INSTALL_PATH="/none")
    assert said.startswith("lab: Vagrant has no provider here. Remedy: apt-get install vagrant-lib")


def test_without_libvirt_s_daemon_it_says_how_to_start_it(project: Path, vagrant_home: str) -> None:
    """Its socket isn't there in a mount namespace where nothing is in /run."""
    hidden = ("unshare", "--user", "--map-root-user", "--mount", "sh", "-c")
    script = 'mount -t tmpfs tmpfs /run && exec "$@"'
    said = up(project, *hidden, script, "up", VAGRANT_HOME=vagrant_home)
    assert said.startswith("lab: Error while connecting to Libvirt: ")
    assert "Remedy: sudo systemctl start libvirtd" in said


def test_without_room_it_says_how_much_is_needed(project: Path) -> None:
    hidden = ("unshare", "--user", "--map-root-user", "--mount", "sh", "-c")
    script = 'mkdir home && mount -t tmpfs -o size=10m tmpfs home && exec "$@"'
    said = up(project, *hidden, script, "up", VAGRANT_HOME=str(project / "home"))
    assert said == (
        f"lab: 0.0 GB free in {project}/home, 3.0 are needed. "
        "Remedy: free some, or set VAGRANT_HOME to a folder on another disk\n"
    )


def test_a_port_that_is_taken_is_not_chosen(project: Path) -> None:
    """Of three machines, each chooses among every third port, so that no two choose the same."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        script = f"require './vagrant/host'; print Lab.free_port({port}, 3)"
        chosen = int(ruby(project, script).stdout)
    assert chosen > port
    assert (chosen - port) % 3 == 0


@pytest.mark.parametrize(("kernel", "chosen"), [("this", "kvm"), ("another", "tcg")])
def test_the_lab_s_own_verdict_on_kvm_counts_for_the_kernel_it_was_found_with(
    project: Path, kernel: str, chosen: str
) -> None:
    release = os.uname().release if kernel == "this" else "2.6.32"
    verdict = {"accelerator": "kvm", "holds_for": {"kernel": release}}
    (project / "accelerator.json").write_text(json.dumps(verdict))
    done = ruby(project, "print Lab.accelerator", LAB_HOME=str(project))
    assert done.stdout == chosen


@pytest.mark.parametrize("kept", [None, "", "[]", "null", '{"accelerator": "kvm"}'])
def test_without_a_whole_verdict_the_machine_is_emulated(project: Path, kept: str | None) -> None:
    if kept is not None:
        (project / "accelerator.json").write_text(kept)
    assert ruby(project, "print Lab.accelerator", LAB_HOME=str(project)).stdout == "tcg"


CHOSEN = """
box = Struct.new(:box, :box_url, :box_download_checksum, :box_download_checksum_type).new
Lab.choose_box(Struct.new(:vm).new(box), 'libvirt')
puts box.box, box.box_url
"""


def test_the_project_s_own_box_comes_first(project: Path) -> None:
    put_box(project, **{"lab-libvirt.box": "0123456789abcdef"})
    url = f"file://{project}/boxes/lab-libvirt.box"
    assert ruby(project, CHOSEN).stdout.splitlines() == ["vm-container-lab-0123456789ab", url]


@pytest.mark.parametrize("boxes", [{}, {"lab-virtualbox.box": "01"}], ids=["none", "another's"])
def test_without_it_a_named_one_is_asked_for(project: Path, boxes: dict[str, str]) -> None:
    if boxes:
        put_box(project, **boxes)
    assert ruby(project, CHOSEN).stdout.splitlines() == ["debian/bookworm64", ""]


def test_who_names_a_box_gets_it(project: Path) -> None:
    put_box(project, **{"lab-libvirt.box": "01"})
    named = {"LAB_BOX": "some/box", "LAB_BOX_URL": "https://example.org/some.box"}
    assert ruby(project, CHOSEN, **named).stdout.splitlines() == list(named.values())


def test_facts_that_are_damaged_are_told_with_the_remedy(project: Path) -> None:
    put_box(project)
    (project / "boxes" / "box.json").write_text('{"files":')
    done = ruby(project, CHOSEN)
    assert done.returncode == 1
    assert done.stderr == f"lab: {project}/boxes/box.json is damaged. Remedy: sudo ./lab box\n"


def test_a_box_of_another_version_is_recognised_by_its_inputs(project: Path) -> None:
    put_box(project)
    facts = json.loads((project / "boxes" / "box.json").read_text())
    facts["inputs"] = {"Vagrantfile": "0" * 64, "gone": "0" * 64}
    (project / "boxes" / "box.json").write_text(json.dumps(facts))
    assert ruby(project, "puts Lab.outdated").stdout.split() == ["Vagrantfile", "gone"]
