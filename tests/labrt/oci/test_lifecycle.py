"""labrt/oci/lifecycle.py: the life cycle of the runtime specification (runtime.md), as an engine's
monitor meets it: it calls verbs, inherits the container and learns of its end."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from bench import oci_cgroups
from labrt.cgroups import Cgroup
from tests.labrt.oci.conftest import Bundle, Oci, ended, kill, reap, wait_for

Maker = Callable[..., Bundle]


def created(oci: Oci, bundle: Bundle, name: str = "oci-1") -> int:
    """Create a container; return its process's pid."""
    oci.ok("create", bundle.at, f"--pid-file={bundle.folder}/pid", name)
    return int((bundle.folder / "pid").read_text())


def running(oci: Oci, bundle: Bundle, name: str = "oci-1") -> int:
    """Create and start a container; return its process's pid."""
    pid = created(oci, bundle, name)
    oci.ok("start", name)
    wait_for(pid, "sh")
    return pid


def test_a_life_from_create_to_delete(oci: Oci, sleeper: Bundle) -> None:
    sleeper.config["annotations"] = {"org.example.key": "a=value"}
    sleeper.write()
    pid = created(oci, sleeper)
    assert (sleeper.folder / "pid").read_bytes() == str(pid).encode()  # no newline
    told = oci.state("oci-1")
    assert (told["id"], told["status"], told["pid"]) == ("oci-1", "created", pid)
    assert told["bundle"] == str(sleeper.folder)
    assert told["annotations"] == {"org.example.key": "a=value"}
    assert told["ociVersion"].startswith("1.")
    oci.ok("start", "oci-1")
    wait_for(pid, "sh")
    assert oci.status("oci-1") == "running"
    oci.ok("kill", "oci-1", "TERM")
    assert ended(pid) == 5
    told = oci.state("oci-1")
    assert (told["status"], told["pid"]) == ("stopped", 0)
    oci.ok("delete", "oci-1")
    assert "container does not exist" in oci.refused("state", "oci-1")


def test_a_config_that_changes_after_create_has_no_effect(oci: Oci, sleeper: Bundle) -> None:
    pid = created(oci, sleeper)
    sleeper.runs("false")
    oci.ok("start", "oci-1")
    wait_for(pid, "sh")
    assert oci.status("oci-1") == "running"
    kill(pid)


WRONG = {
    "created": (("resume",), ("create",)),
    "running": (("start",), ("resume",), ("create",), ("delete",)),
    "paused": (("start",), ("pause",), ("create",), ("delete",), ("exec", "true")),
    "stopped": (("start",), ("pause",), ("resume",), ("kill",), ("create",), ("exec", "true")),
}


def in_state(oci: Oci, bundle: Bundle, wanted: str) -> int:
    """Bring a container into a state; return the pid of its process."""
    pid = created(oci, bundle) if wanted == "created" else running(oci, bundle)
    if wanted == "paused":
        oci.ok("pause", "oci-1")
    if wanted == "stopped":
        kill(pid)
    return pid


@pytest.mark.parametrize("wanted", WRONG)
def test_an_operation_in_the_wrong_state_is_an_error_and_changes_nothing(
    oci: Oci, sleeper: Bundle, wanted: str
) -> None:
    pid = in_state(oci, sleeper, wanted)
    for verb, *rest in WRONG[wanted]:
        more = [sleeper.at] if verb == "create" else []
        said = oci.refused(verb, *more, "oci-1", *rest)
        assert "cannot" in said or "not running" in said or "already exists" in said
        assert oci.status("oci-1") == wanted, verb
    if wanted != "stopped":
        oci.ok("delete", "--force", "oci-1")
        assert ended(pid) == 128 + signal.SIGKILL


@pytest.mark.parametrize("verb", ["state", "start", "kill", "delete", "pause", "resume", "ps"])
def test_of_a_container_that_is_none_engines_are_told_so(oci: Oci, verb: str) -> None:
    assert "container does not exist" in oci.refused(verb, "oci-none")


def test_a_path_is_no_id(oci: Oci, sleeper: Bundle) -> None:
    victim = oci.root / "victim"
    victim.mkdir(parents=True)
    for name in ("../victim", "/etc", ".", "..", ""):
        oci.refused("create", sleeper.at, name)
        oci("delete", "--force", name)
    assert victim.exists()


@pytest.mark.parametrize("wanted", WRONG)
def test_by_force_a_container_is_deleted_in_every_state(
    oci: Oci, sleeper: Bundle, wanted: str
) -> None:
    pid = in_state(oci, sleeper, wanted)
    oci.ok("delete", "--force", "oci-1")
    if wanted != "stopped":
        assert ended(pid) == 128 + signal.SIGKILL
    oci.ok("delete", "--force", "oci-1")  # one that isn't there is as good as deleted
    assert oci.left() == []


def test_what_a_container_without_a_pid_namespace_leaves_running_is_deleted_with_it(
    oci: Oci, make_bundle: Maker
) -> None:
    bundle = make_bundle("sh", "-c", "sleep 1000 & exit 0")
    spaces = bundle.config["linux"]["namespaces"]
    bundle.config["linux"]["namespaces"] = [each for each in spaces if each["type"] != "pid"]
    bundle.write()
    pid = created(oci, bundle)
    oci.ok("start", "oci-1")
    assert ended(pid) == 0
    assert oci.status("oci-1") == "stopped"
    oci.ok("delete", "oci-1")
    (code,) = reap().values()
    assert code == 128 + signal.SIGKILL


@pytest.mark.parametrize("spelled", ["USR1", "SIGUSR1", "usr1", "10"])
def test_signals_are_named_as_engines_name_them(oci: Oci, make_bundle: Maker, spelled: str) -> None:
    bundle = make_bundle("sh", "-c", "trap 'exit 9' USR1; while :; do sleep 0.1; done")
    pid = running(oci, bundle)
    time.sleep(0.2)  # until the trap is set
    oci.ok("kill", "oci-1", "0")
    oci.ok("kill", "oci-1", spelled)
    assert ended(pid) == 9


def test_real_time_signals_and_what_is_no_signal(oci: Oci, make_bundle: Maker) -> None:
    pid = running(oci, make_bundle("sh", "-c", "while :; do sleep 0.1; done", name="other"))
    for wrong in ("NONE", "65", "-1", "RTMIN+99", "TERM+x"):
        assert "there is none" in oci.refused("kill", "--", "oci-1", wrong)
    oci.ok("kill", "--all", "oci-1", "SIGRTMIN+3")
    oci.ok("kill", "oci-1", "KILL")
    assert ended(pid) == 128 + signal.SIGKILL


def test_a_paused_container_stands_still_and_goes_on(oci: Oci, make_bundle: Maker) -> None:
    bundle = make_bundle("sh", "-c", "while :; do echo; sleep 0.02; done")
    with open(bundle.folder / "out", "wb") as out:
        oci.ok("create", bundle.at, "oci-1", stdout=out)
    oci.ok("start", "oci-1")
    oci.ok("pause", "oci-1")
    before = (bundle.folder / "out").stat().st_size
    time.sleep(0.2)
    assert (bundle.folder / "out").stat().st_size == before
    oci.ok("resume", "oci-1")
    assert oci.status("oci-1") == "running"
    time.sleep(0.2)
    assert (bundle.folder / "out").stat().st_size > before
    pid = oci.state("oci-1")["pid"]
    oci.ok("pause", "oci-1")
    oci.ok("kill", "oci-1", "KILL")  # also with v1's freezer, which holds back even the dying
    assert ended(pid) == 128 + signal.SIGKILL


def test_a_cgroup_that_is_somebody_elses_is_refused_and_left_alone(
    oci: Oci, sleeper: Bundle
) -> None:
    taken = Cgroup.create("oci-taken", elsewhere=True)
    try:
        sleeper.config["linux"]["cgroupsPath"] = "/oci-taken"
        sleeper.write()
        assert "is there already" in oci.refused("create", sleeper.at, "oci-1")
        assert taken.exists()
        assert oci.left() == []
    finally:
        taken.remove()


def test_of_many_who_create_one_id_one_succeeds(oci: Oci, sleeper: Bundle) -> None:
    command = oci.command("create", sleeper.at, "oci-1")
    with open(sleeper.folder / "out", "wb") as out:
        racing = [
            subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=out, stderr=out)
            for _ in range(6)
        ]
        codes = sorted(each.wait(60) for each in racing)
    said = (sleeper.folder / "out").read_text()
    assert codes == [0] + 5 * [1], said
    assert said.count("already exists") == 5
    assert oci.left() == ["oci-1"]
    oci.ok("start", "oci-1")
    assert oci.status("oci-1") == "running"
    oci.ok("delete", "--force", "oci-1")


def test_of_two_who_start_it_one_succeeds(oci: Oci, sleeper: Bundle) -> None:
    created(oci, sleeper)
    racing = [subprocess.Popen(oci.command("start", "oci-1"), stderr=-3) for _ in range(3)]
    assert sorted(each.wait(60) for each in racing) == [0, 1, 1]
    assert oci.status("oci-1") == "running"
    oci.ok("delete", "--force", "oci-1")


def test_whenever_create_is_killed_delete_removes_all(oci: Oci, sleeper: Bundle) -> None:
    begun = time.monotonic()
    oci.ok("create", sleeper.at, "oci-0")
    took = time.monotonic() - begun
    oci.ok("delete", "--force", "oci-0")
    moments = [took * share / 14 for share in range(1, 16)]
    found = set()
    for moment in moments:
        with open(os.devnull, "r+b") as null:
            creating = subprocess.Popen(
                oci.command("create", sleeper.at, "oci-1"), stdin=null, stdout=null, stderr=null
            )
        time.sleep(moment)
        creating.kill()
        creating.wait()
        found.add(tuple(oci.left()))
        oci.ok("delete", "--force", "oci-1")
        assert oci.left() == []
        reap()
    assert len(found) > 1, "no moment left anything: the test shows nothing"
    pid = created(oci, sleeper)  # and the id is free
    kill(pid)


def test_a_failed_create_leaves_nothing(oci: Oci, sleeper: Bundle) -> None:
    before = json.dumps(sleeper.config)
    breaks: tuple[Callable[[], object], ...] = (
        lambda: sleeper.config["process"].update(args=["nothing-of-this-name"]),
        lambda: sleeper.config["mounts"].append(
            {"destination": "/data", "type": "bind", "source": "/none", "options": ["bind"]}
        ),
        lambda: sleeper.config["mounts"].append(
            {"destination": "/data", "type": "nosuchfs", "source": "none"}
        ),
        lambda: sleeper.config["linux"].update(resources={"pids": {"limit": "many"}}),
        lambda: sleeper.config.update(ociVersion="2.0.0"),
    )
    for change in breaks:
        sleeper.config = json.loads(before)
        change()
        sleeper.write()
        oci.refused("create", sleeper.at, "oci-1")
        assert oci.left() == []


def test_a_pid_file_or_console_that_cant_be_handed_over_undoes_it(
    oci: Oci, sleeper: Bundle
) -> None:
    oci.refused("create", sleeper.at, "--pid-file=/none/pid", "oci-1")
    assert oci.left() == []
    sleeper.config["process"]["terminal"] = True
    sleeper.write()
    oci.refused("create", sleeper.at, f"--console-socket={sleeper.folder}/none", "oci-1")
    assert oci.left() == []
    assert "cannot allocate tty" in oci.refused("create", sleeper.at, "oci-1")


def test_delete_removes_nothing_but_what_create_has_made(oci: Oci, sleeper: Bundle) -> None:
    parent = Cgroup.create("oci-parent", elsewhere=True)
    try:
        sleeper.config["linux"]["cgroupsPath"] = "/oci-parent/inner"
        sleeper.write()
        pid = running(oci, sleeper)
        assert Path(f"/proc/{pid}/cgroup").read_text().count("/oci-parent/inner") > 0
        kill(pid)
        oci.ok("delete", "oci-1")
        assert parent.exists()
        assert not Cgroup("oci-parent/inner").exists()
        assert (sleeper.folder / "config.json").exists()
        assert Path(sleeper.config["root"]["path"]).is_dir()
    finally:
        oci_cgroups.remove("oci-parent")  # also where the runtime had to make it, as runc does
