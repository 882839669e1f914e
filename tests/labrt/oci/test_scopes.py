"""--systemd-cgroup (labrt/scopes.py), with a systemd of one's own."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from labrt import scopes
from tests.labrt.oci import own_systemd
from tests.labrt.oci.conftest import Bundle, Oci
from tests.labrt.oci.engines import Engine, podman_conf

ROOT = Path(__file__).parents[3]
REASON = own_systemd.unavailable()


def test_a_slice_is_below_those_that_its_name_names() -> None:
    """systemd.slice(5)"""
    unit = "a-1.scope"
    assert scopes.Scope(unit, "machine.slice").cgroup == "machine.slice/a-1.scope"
    assert scopes.Scope(unit, "a-b.slice").cgroup == "a.slice/a-b.slice/a-1.scope"
    assert scopes.Scope(unit, "-.slice").cgroup == "a-1.scope"
    assert scopes.of("a.slice/a-b.slice/a-1.scope/container") == (unit, "a-b.slice")


@pytest.fixture(scope="module")
def inside(tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[str]]:
    with own_systemd.running(tmp_path_factory.mktemp("systemd")) as words:
        yield words


class Inside(Oci):
    """The program where that systemd is process 1."""

    def __init__(self, program: Path, root: Path, enter: list[str]) -> None:
        super().__init__(program, root)
        self.enter = enter

    def command(self, *words: str) -> list[str]:
        return [*self.enter, *super().command("--systemd-cgroup", *words)]

    def systemctl(self, *words: str) -> str:
        done = subprocess.run([*self.enter, "systemctl", *words], capture_output=True, text=True)
        return done.stdout + done.stderr


@pytest.fixture
def oci(program: Path, tmp_path: Path, inside: list[str]) -> Iterator[Inside]:
    made = Inside(program, tmp_path / "state", inside)
    yield made
    for name in made.left():
        made("delete", "--force", name)
    assert "oci-" not in made.systemctl("list-units", "--all", "--plain")


class TestAScope:
    pytestmark = [pytest.mark.slow, pytest.mark.skipif(REASON is not None, reason=f"{REASON}")]

    def test_systemd_makes_it_and_the_lab_the_containers_cgroup_in_it(
        self, oci: Inside, sleeper: Bundle
    ) -> None:
        sleeper.config["linux"]["cgroupsPath"] = "machine.slice:oci:1"
        sleeper.config["linux"]["resources"] = {"pids": {"limit": 50}}
        sleeper.write()
        oci.ok("run", "-d", sleeper.at, "oci-1")
        shown = oci.systemctl(
            "show", "oci-1.scope", "-p", "ActiveState,Slice,Delegate,ControlGroup"
        )
        assert {"ActiveState=active", "Slice=machine.slice", "Delegate=yes"} <= {*shown.split()}
        assert "ControlGroup=/machine.slice/oci-1.scope\n" in shown
        scope = Path("/sys/fs/cgroup", own_systemd.NAME, "machine.slice/oci-1.scope")
        assert (scope / "container/pids.max").read_text() == "50\n"
        assert (scope / "container/cgroup.procs").read_text().split()
        assert not (scope / "placeholder").exists()
        assert oci.ok("exec", "oci-1", "cat", "/proc/self/cgroup") == "0::/\n"
        oci.ok("delete", "--force", "oci-1")
        assert not scope.exists()

    def test_it_goes_with_the_program_and_the_same_name_can_be_had_again(
        self, oci: Inside, sleeper: Bundle
    ) -> None:
        for _ in range(3):
            assert oci.ok("run", sleeper.runs("echo", "done").at, "oci-1") == "done\n"
        assert "oci-1" not in oci.systemctl("list-units", "--all", "--plain")

    def test_what_fails_leaves_none(self, oci: Inside, sleeper: Bundle) -> None:
        assert "no program" in oci.refused("run", sleeper.runs("nosuch").at, "oci-1")
        sleeper.config["linux"]["resources"] = {"unified": {"pids.max": "few"}}
        assert "pids.max" in oci.refused("run", sleeper.runs("true").at, "oci-1")
        assert "oci-1" not in oci.systemctl("list-units", "--all", "--plain")

    def test_killed_it_leaves_none(self, oci: Inside) -> None:
        """The placeholder ends with who started it."""
        code = (
            "import os; from labrt import scopes, step\n"
            "scope = scopes.Scope('oci-9.scope', 'machine.slice')\n"
            "scopes.StartScope(scope).do(step.Context(None)); os.kill(os.getpid(), 9)"
        )
        done = subprocess.run([*oci.enter, sys.executable, "-c", code], cwd=ROOT)
        assert done.returncode != 0
        deadline = time.monotonic() + 20
        while "oci-9" in oci.systemctl("list-units", "--all", "--plain"):
            assert time.monotonic() < deadline, "the scope is still there"
            time.sleep(0.1)

    @pytest.mark.parametrize("path", ["machine.slice", "/a/b", "machine:a:b", "a.slice:b:../c"])
    def test_a_path_that_names_no_scope_is_refused(
        self, oci: Inside, sleeper: Bundle, path: str
    ) -> None:
        sleeper.config["linux"]["cgroupsPath"] = path
        sleeper.write()
        assert "SLICE:PREFIX:NAME" in oci.refused("create", sleeper.at, "oci-1")


@pytest.fixture
def podman(inside: list[str], program: Path, rootfs: Path) -> Iterator[Engine]:
    """Podman there, with storage of its own, and an image "box" in it."""
    with tempfile.TemporaryDirectory(prefix="lab-podman-") as folder:
        places = [f"--root={folder}/root", f"--runroot={folder}/run", f"--tmpdir={folder}/tmp"]
        conf = podman_conf(Path(folder), program, ["nofile=1024:1024", "nproc=1000:1000"])
        engine = Engine(
            *(*inside, "podman", *places, "--storage-driver=vfs", "--cgroup-manager=systemd"),
            environment={"CONTAINERS_CONF": str(conf)},
        )
        subprocess.run(["tar", "-C", rootfs, "-cf", f"{folder}/box.tar", "."], check=True)
        engine.ok("import", f"{folder}/box.tar", "box")
        yield engine
        engine("rm", "--all", "--force", "--time=0")


@pytest.mark.slow
@pytest.mark.skipif(REASON is not None, reason=f"{REASON}")
@pytest.mark.skipif(shutil.which("podman") is None, reason="no podman: apt-get install podman")
def test_podman_has_its_containers_in_scopes(podman: Engine) -> None:
    """As it has them wherever systemd runs, unless it is told otherwise."""
    podman.ok("run", "-d", "--name=oci-1", "--pids-limit=50", "box", "sleep", "1000")
    machines = Path("/sys/fs/cgroup", own_systemd.NAME, "machine.slice")
    (scope,) = (each for each in machines.glob("*.scope") if "conmon" not in each.name)
    assert (scope / "container/pids.max").read_text() == "50\n"
    assert podman.ok("exec", "oci-1", "cat", "/proc/self/cgroup") == "0::/\n"
    (stats,) = json.loads(podman.ok("stats", "--no-stream", "--format=json", "oci-1"))
    assert int(stats["pids"]) >= 1
    podman.ok("restart", "--time=0", "oci-1")
    assert podman.ok("exec", "oci-1", "echo", "here again") == "here again\n"
    podman.ok("rm", "--force", "--time=0", "oci-1")
    assert not scope.exists()
