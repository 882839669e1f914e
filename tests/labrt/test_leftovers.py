"""labrt gc: what no container owns is found by its kind, removed and told; the rest stays."""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import pytest

import labrt
from labrt import cgroups, container, leftovers, paths, removal, state
from labrt.declare import declare
from labrt.images import store
from tests.labrt.conftest import needs_cgroups, needs_root
from tests.labrt.test_cli import labrt as command

pytestmark = pytest.mark.usefixtures("nothing_left")


@needs_cgroups
def test_a_command_with_limits_leaves_no_cgroup_not_even_the_top(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LAB_HOME", str(tmp_path / "home"))
    assert command("image", "base", "busybox").returncode == 0
    for verb in ("explain", "run"):
        assert command(verb, "-m", "64m", "busybox", "true").returncode == 0
    assert [base for base in cgroups.layout().folders if (base / cgroups.top()).exists()] == []


@needs_root
def test_a_closed_home_is_told_with_the_remedy(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LAB_HOME", str(tmp_path))
    assert command("image", "base", "busybox").returncode == 0
    tmp_path.chmod(0o700)
    refused = command("run", "busybox", "true")
    assert (refused.returncode, refused.stderr.count("\n")) == (125, 1)
    assert "may not pass through). Remedy: chmod o+x it" in refused.stderr
    tmp_path.chmod(0o711)
    assert command("run", "busybox", "true").returncode == 0


def old(path: Path) -> Path:
    long_ago = time.time() - 2 * leftovers.YOUNG
    os.utime(path, (long_ago, long_ago), follow_symlinks=False)
    return path


def a_cgroup(home: Path) -> str:
    name = f"{cgroups.top()}/lab-00000000"
    cgroups.Cgroup.create(name)
    return f"cgroup {name}"


def a_probe(home: Path) -> str:
    with subprocess.Popen(["true"]) as dead:
        pass
    name = f"{cgroups.top()}/{cgroups.PROBE}{dead.pid}-00000000"
    cgroups.Cgroup.create(name)
    return f"cgroup {name}"


def a_name(home: Path) -> str:
    paths.make_passable(state.names_dir())
    link = state.names_dir() / "orphan"
    link.symlink_to("lab-00000000")
    return f"name {link}"


def a_launcher(home: Path) -> str:
    folder = paths.run_dir() / "launcher-orphan"
    folder.mkdir()
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as listener:
        listener.bind(f"{folder}/socket")
    return f"launcher {old(folder)}"


def a_layer(home: Path) -> str:
    folder = home / "layers" / ".new-orphan"
    (folder / "bin").mkdir(parents=True)
    return f"half-written {old(folder)}"


def a_folder(home: Path) -> str:
    folder = state.containers_dir() / ".new-lab-00000000"
    folder.mkdir(parents=True, exist_ok=True)
    return f"half-written {old(folder)}"


def a_blob(home: Path) -> str:
    file = store.folder() / "blobs" / "sha256" / ".new-orphan"
    file.touch()
    return f"half-written {old(file)}"


def a_filter(home: Path) -> str:
    paths.make_passable(home / "seccomp")
    file = home / "seccomp" / "tmporphan"
    file.touch()
    return f"half-written {old(file)}"


@pytest.mark.parametrize(
    "make",
    [
        pytest.param(a_cgroup, marks=needs_cgroups),
        pytest.param(a_probe, marks=needs_cgroups),
        a_name,
        a_launcher,
        a_folder,
        a_layer,
        a_blob,
        a_filter,
    ],
)
def test_an_orphan_is_removed_and_told(home: Path, make: Callable[[Path], str]) -> None:
    told = make(home)
    assert leftovers.collect() == [told]
    assert leftovers.collect() == []


def test_what_lives_or_is_in_the_making_stays(home: Path) -> None:
    young = home / "layers" / ".new-young"
    young.mkdir()
    with labrt.run("busybox", ["sleep", "60"], name="living") as c:
        for folder in paths.run_dir().glob("launcher-*"):
            old(folder)  # a launcher may be old; it answers
        assert leftovers.collect() == []
        assert c.wait(0) is None
        assert (state.names_dir() / "living").is_symlink()
    young.rmdir()


def test_the_command_tells_what_it_removed(home: Path) -> None:
    told = a_name(home)
    assert command("gc").stdout == f"removed {told}\n"


def edited(folder: Path, **changes: object) -> None:
    status = json.loads((folder / "status").read_text())
    (folder / "status").write_text(json.dumps(status | changes))


def test_a_container_of_an_earlier_boot_is_stale_and_goes_even_if_it_was_kept() -> None:
    spec = declare(store.resolve("busybox"), ["true"], detach=True, name="stale")
    container.create(spec)
    folder = Path(spec.state_dir)
    with container.start_created(folder) as running:
        assert running.wait(30) == 0
    assert removal.remove_dead() == []
    edited(folder, boot="00000000-0000-0000-0000-000000000000")
    assert removal.remove_dead() == [spec.id]
    assert not (state.names_dir() / "stale").is_symlink()


def test_a_pid_of_an_earlier_boot_is_somebody_elses_and_is_not_touched() -> None:
    spec = declare(store.resolve("busybox"), ["true"], detach=True)
    container.create(spec)
    folder = Path(spec.state_dir)
    bystander = os.getppid()
    edited(folder, pid=bystander, birth=state.birth(bystander), boot="an earlier one")
    assert state.read_status(folder).state == "exited"
    assert removal.remove_dead() == [spec.id]
    assert state.birth(bystander) != 0


def test_a_folder_that_was_half_made_goes_with_the_next_command(home: Path) -> None:
    ended = subprocess.Popen(["true"])
    ended.wait()
    state.containers_dir().mkdir(parents=True, exist_ok=True)
    left, coming = (
        state.containers_dir() / f".new-lab-00000000.{pid}" for pid in (ended.pid, os.getpid())
    )
    for folder in (left, coming):
        (folder / "upper").mkdir(parents=True)
    try:
        removal.remove_dead()
        assert not left.exists()
        assert coming.exists(), "its maker lives"
    finally:
        shutil.rmtree(coming)
