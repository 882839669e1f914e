"""`./lab box`: what it refuses before any work, and that an interrupted build leaves nothing."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from vagrant.box import inputs

ROOT = Path(__file__).parent.parent.parent.parent
BOX = (sys.executable, "-m", "vagrant.box")
NOBODY = 65534

as_root = pytest.mark.skipif(os.geteuid() != 0, reason="needs root, as building a box does")


def run(*words: str | Path, uid: int | None = None) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*BOX, *words],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT), "PYTHONDONTWRITEBYTECODE": "1"},
        user=uid,
        capture_output=True,
        text=True,
        timeout=60,
    )


@as_root
def test_who_is_not_root_is_told_the_remedy() -> None:
    done = run(uid=NOBODY)
    assert (done.returncode, done.stderr) == (
        1,
        "lab box: build a box: not root. Remedy: sudo ./lab box\n",
    )


def test_a_provider_that_there_is_none_of_is_refused_in_one_line() -> None:
    done = run("--provider", "vmware")
    assert done.returncode == 2
    assert "libvirt" in done.stderr
    assert done.stderr.count("\n") == 1


@as_root
def test_a_folder_that_holds_something_else_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "thesis.odt").touch()
    done = run("--out", tmp_path)
    assert done.returncode == 1
    assert "it holds something else than boxes" in done.stderr
    assert [file.name for file in tmp_path.iterdir()] == ["thesis.odt"]


@as_root
def test_no_room_is_said_before_any_work(tmp_path: Path) -> None:
    script = 'mount -t tmpfs -o size=1m tmpfs "$0" && exec "$@"'
    command = ["unshare", "--mount", "sh", "-c", script, tmp_path, *BOX, "--out", tmp_path / "out"]
    done = subprocess.run(
        command,
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 1
    assert "0.0 GB free" in done.stderr
    assert done.stderr.count("\n") == 1


@as_root
@pytest.mark.slow  # the first time, wheels and base images are downloaded before
@pytest.mark.timeout(600)
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM], ids=["Ctrl-C", "SIGTERM"])
def test_interrupted_it_leaves_nothing_and_the_old_box_stays(
    tmp_path: Path, number: signal.Signals
) -> None:
    out = tmp_path / "boxes"
    out.mkdir()
    (out / inputs.FACTS).write_text("{}")
    build = subprocess.Popen(
        [*BOX, "--out", out],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stderr=subprocess.PIPE,
        text=True,
    )
    while not list(tmp_path.glob(".boxes-*/root/*")):  # mmdebstrap is at work
        assert build.poll() is None, build.communicate()[1]
        time.sleep(0.1)
    build.send_signal(number)
    _, said = build.communicate(timeout=60)
    assert build.returncode == 128 + number
    assert said.endswith(f"interrupted ({number.name}); nothing is left of it\n")
    assert [file.name for file in tmp_path.iterdir()] == ["boxes"]
    assert (out / inputs.FACTS).read_text() == "{}"
    assert str(tmp_path) not in Path("/proc/self/mountinfo").read_text()


def test_a_box_knows_the_version_of_the_project_it_was_built_of(tmp_path: Path) -> None:
    sums = inputs.sums()
    assert {"vagrant/provision.sh", "setup/packages.sh", "requirements.txt"} <= set(sums)
    (tmp_path / inputs.FACTS).write_text(json.dumps({"inputs": sums}))
    assert inputs.outdated(tmp_path) == []
    changed = {**sums, "requirements.txt": "0" * 64}
    (tmp_path / inputs.FACTS).write_text(json.dumps({"inputs": changed}))
    assert inputs.outdated(tmp_path) == ["requirements.txt"]
