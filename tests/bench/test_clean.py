"""`./lab clean` removes what the lab made, whoever was killed on the way, and nothing else.

It is run on a host of its own: a copy of the lab, a LAB_HOME and run folder of its own, and a mount
namespace where the cgroup hierarchies begin at a cgroup made for this test. Otherwise it would end
whatever else of the lab runs on this machine.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import zlib
from collections.abc import Iterator
from pathlib import Path

import pytest

from bench import tap
from labrt import cgroups

ROOT = Path(__file__).parent.parent.parent

pytestmark = pytest.mark.skipif(
    cgroups.unavailable() is not None or os.geteuid() != 0,
    reason=f"needs root and cgroups: {cgroups.unavailable()}",
)


class Host:
    """A lab of its own on this host: another LAB_HOME, and so other cgroups."""

    def __init__(self, folder: Path) -> None:
        self.lab = folder / "lab"
        self.home = folder / "home"
        self.run_dir = folder / "run"
        self.environment = {
            **os.environ,
            "PYTHONPATH": str(self.lab),
            "LAB_HOME": str(self.home),
            "LAB_RUN": str(self.run_dir),
        }
        for name in ("bench", "labrt", "vagrant"):
            shutil.copytree(ROOT / name, self.lab / name)
        (self.lab / ".venv" / "lib").mkdir(parents=True)
        for compiled in (ROOT / ".venv" / "lib").glob("labrt-*"):
            shutil.copy(compiled, self.lab / ".venv" / "lib")
        self.top = f"labrt-{zlib.crc32(bytes(self.home)):08x}"

    def close(self) -> None:
        self.clean()

    def start(self, *command: str) -> subprocess.Popen[str]:
        return subprocess.Popen(
            command,
            env=self.environment,
            cwd=self.lab,  # not the real one, whose .venv would be removed
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    def python(self, *arguments: str) -> subprocess.Popen[str]:
        return self.start(sys.executable, *arguments)

    def container(self) -> subprocess.Popen[str]:
        """Start `labrt run` and wait until its program is ready."""
        owner = self.python("-m", "labrt.cli", "run", "busybox")
        assert owner.stdout is not None
        assert any(line == "lab:ready\n" for line in owner.stdout), "it ended before it was ready"
        return owner

    def clean(self, *arguments: str) -> tuple[int, str]:
        """Run the verb; return exit status and output."""
        verb = self.python("-m", "bench.clean", *arguments)
        output, _ = verb.communicate(timeout=60)
        return verb.returncode, output

    def groups(self) -> list[str]:
        """The lab's cgroups that are left."""
        tops = [base / self.top for base in cgroups.layout().folders]
        return [group.name for top in tops for group in top.glob("*/")]


@pytest.fixture(scope="module")
def shared_host(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Host]:
    host = Host(tmp_path_factory.mktemp("host"))
    yield host
    host.close()


@pytest.fixture
def host(shared_host: Host) -> Host:
    """The host with the base image, and nothing running."""
    build = shared_host.python("-m", "labrt.cli", "image", "base", "busybox")
    output, _ = build.communicate(timeout=60)
    assert build.returncode == 0, output
    shared_host.clean()
    return shared_host


def test_where_there_is_nothing_it_says_so(host: Host) -> None:
    assert host.clean() == (0, "nothing to remove\n")


def test_the_fork_server_of_this_lab_is_ended(host: Host) -> None:
    output, _ = host.python("-m", "labrt.cli", "forkserver").communicate(timeout=60)
    assert output == ""
    log = host.run_dir / "launcher.log"
    assert host.clean() == (0, f"removed the fork server\nremoved {log}\n")


def test_a_container_whose_owner_was_killed_is_found(host: Host) -> None:
    owner = host.container()
    owner.send_signal(signal.SIGKILL)
    owner.communicate(timeout=10)
    (left,) = (host.home / "containers").iterdir()
    status, output = host.clean()
    assert status == 0
    assert f"removed container {left.name}\n" in output
    assert list((host.home / "containers").iterdir()) == []
    assert host.groups() == []


def test_a_living_container_is_ended(host: Host) -> None:
    owner = host.container()
    status, output = host.clean()
    assert status == 0
    assert "removed container lab-" in output
    owner.communicate(timeout=10)
    assert owner.poll() is not None
    assert host.groups() == []


def test_a_process_in_a_forgotten_cgroup_is_ended(host: Host) -> None:
    code = (
        "import os; from labrt.cgroups import Cgroup, top\n"
        "Cgroup.create(f'{top()}/lab-forgotten').add(os.getpid())\n"
        "os.execvp('sleep', ['sleep', 'inf'])"
    )
    sleeper = host.python("-c", code)
    while not host.groups():
        assert sleeper.poll() is None
    status, output = host.clean()
    assert (status, output) == (0, f"removed cgroup {host.top}/lab-forgotten\n")
    sleeper.communicate(timeout=10)
    assert sleeper.returncode == -signal.SIGKILL


@pytest.mark.skipif(tap.unavailable() is not None, reason=str(tap.unavailable()))
def test_the_network_card_of_a_killed_bench_goes_and_the_bridge_with_it(host: Host) -> None:
    code = (
        "import os; from bench import tap; port = tap.make('lab-left')\n"
        "print(port.interface, port.bridge, flush=True); os.kill(os.getpid(), 9)"
    )
    owner = host.python("-c", code)
    assert owner.stdout is not None
    interfaces = [Path("/sys/class/net", name) for name in owner.stdout.readline().split()]
    owner.communicate(timeout=10)
    assert [interface.exists() for interface in interfaces] == [True, True]
    assert host.clean() == (0, "removed the port of lab-left on the bridge\n")
    assert [interface.exists() for interface in interfaces] == [False, False]


# A machine of `./lab machine`, with an empty disk; QEMU, as if it hung, is out of its reach.
UNREACHABLE_MACHINE = """
import subprocess
from vagrant import machine
folder = machine.place()
folder.mkdir(parents=True)
(folder / "key.pub").touch()
disk = folder / "disk.qcow2"
subprocess.run(["qemu-img", "create", "-q", "-f", "qcow2", disk, "64M"], check=True)
ports = {"ssh": machine._free_port(2222), "jupyter": machine._free_port(8888)}
machine._start(folder, 64, 1, ports)
(folder / "qmp").unlink()
"""
RUNNING = "from vagrant import machine; print(machine.running())"


def test_the_running_lab_machine_is_ended_another_lab_s_is_not_and_its_disk_stays(
    host: Host, tmp_path: Path
) -> None:
    environment = {**host.environment, "LAB_ACCEL": "tcg"}
    homes = [host.home, tmp_path / "another"]

    def told(home: Path, *words: str) -> str:
        done = subprocess.run(
            [sys.executable, *words],
            env={**environment, "LAB_HOME": str(home)},
            cwd=host.lab,
            capture_output=True,
            text=True,
            timeout=60,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    for home in homes:
        told(home, "-c", UNREACHABLE_MACHINE)
    try:
        assert host.clean() == (
            0,
            "lab: it doesn't switch off, so it is killed\n"
            f"removed the running lab machine ({host.home}/machine stays)\n",
        )
        assert [told(home, "-c", RUNNING) for home in homes] == ["False\n", "True\n"]
        assert (host.home / "machine" / "disk.qcow2").exists()
    finally:
        for home in homes:
            told(home, "-m", "vagrant.machine", "down", "--destroy")


def test_what_is_in_the_run_folder_goes(host: Host) -> None:
    (host.run_dir / "launcher-x").mkdir(parents=True)
    (host.run_dir / "launcher-x" / "socket").touch()
    assert host.clean() == (0, f"removed {host.run_dir}/launcher-x\n")
    assert not host.run_dir.exists()


def test_what_the_lab_keeps_stays_unless_all_is_asked_for(host: Host) -> None:
    host.clean()
    assert (host.home / "images").is_dir()


def test_all_refuses_a_home_without_the_labs_mark(host: Host) -> None:
    status, output = host.clean("--all")
    assert status == 1
    assert ".made-by-the-lab" in output
    assert (host.home / "images").is_dir()


def test_all_removes_home_and_environment_but_no_file_of_others(host: Host) -> None:
    (host.home / ".made-by-the-lab").touch()
    (host.home / "thesis.odt").touch()
    (host.lab / ".venv" / "bin").mkdir(parents=True)
    (host.lab / "results").mkdir()
    status, output = host.clean("--all")
    assert status == 0
    assert f"{host.home}/images\n" in output
    assert sorted(path.name for path in host.home.iterdir()) == [".made-by-the-lab", "thesis.odt"]
    assert not (host.lab / ".venv").exists()
    assert (host.lab / "results").is_dir()

    (host.home / "thesis.odt").unlink()
    host.clean("--all")
    assert not host.home.exists()
