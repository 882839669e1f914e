"""The verbs beside the life cycle: exec, run, ps, list, update, events, spec, features; and what
engines and people are told."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from labrt.cgroups import Cgroup
from labrt.oci.verbs import events, ps
from tests.labrt.oci.conftest import Bundle, Oci, ended, kill, wait_for

Maker = Callable[..., Bundle]


@pytest.fixture
def container(oci: Oci, sleeper: Bundle) -> int:
    """A container that runs, "oci-1"; its process's pid."""
    oci.ok("run", "--detach", sleeper.at, f"--pid-file={sleeper.folder}/pid", "oci-1")
    pid = int((sleeper.folder / "pid").read_text())
    wait_for(pid, "sh")
    return pid


def test_run_ends_as_its_program_ends_and_leaves_nothing(oci: Oci, make_bundle: Maker) -> None:
    done = oci("run", make_bundle("sh", "-c", "echo out; echo err >&2; exit 7").at, "oci-1")
    assert (done.returncode, done.stdout, done.stderr) == (7, "out\n", "err\n")
    assert oci.left() == []


def test_run_can_keep_what_has_ended(oci: Oci, make_bundle: Maker) -> None:
    assert oci("run", "--keep", make_bundle("false").at, "oci-1").returncode == 1
    assert oci.status("oci-1") == "stopped"
    oci.ok("delete", "oci-1")


def test_run_passes_signals_on(oci: Oci, sleeper: Bundle) -> None:
    pid_file = sleeper.folder / "pid"
    command = oci.command("run", sleeper.at, f"--pid-file={pid_file}", "oci-1")
    running = subprocess.Popen(command, stdin=subprocess.DEVNULL)
    while not pid_file.exists():
        time.sleep(0.01)
    wait_for(int(pid_file.read_text()), "sh")
    time.sleep(0.3)  # until the trap is set
    running.send_signal(signal.SIGTERM)
    assert running.wait(30) == 5
    assert oci.left() == []


def test_exec_runs_beside_it_and_ends_as_it_ends(oci: Oci, container: int) -> None:
    done = oci("exec", "oci-1", "sh", "-c", "ps; exit 3")
    assert done.returncode == 3
    assert "trap" in done.stdout  # it sees the container's first process
    own, other = (Path(f"/proc/{pid}/ns/mnt") for pid in (os.getpid(), container))
    assert oci.ok("exec", "oci-1", "readlink", "/proc/self/ns/mnt").strip() == os.readlink(other)
    assert os.readlink(own) != os.readlink(other)


def test_exec_changes_what_it_is_asked_to(oci: Oci, container: int) -> None:
    asked = ["--cwd=/data", "--env=A=1", "-e", "B=2", "--user=7:8", "--additional-gids=9"]
    asked += ["--cap=CAP_NET_ADMIN", "--no-new-privs"]
    script = "pwd; echo $A$B; id -u; id -G; grep -E 'CapBnd|NoNew' /proc/self/status"
    cwd, env, uid, groups, *rest = oci.ok("exec", *asked, "oci-1", "sh", "-c", script).split("\n")
    assert (cwd, env, uid, set(groups.split())) == ("/data", "12", "7", {"8", "9"})
    assert int(rest[0].split()[1], 16) >> 12 & 1  # CAP_NET_ADMIN
    assert rest[1].split()[1] == "1"
    for wrong in ("--user=root", "--user=1:2:3", "--cap=CAP_NONE"):
        oci.refused("exec", wrong, "oci-1", "true")


def test_exec_takes_a_process_from_a_file(oci: Oci, container: int, tmp_path: Path) -> None:
    process = {
        "args": ["sh", "-c", "echo $X; exit 4"],
        "env": ["PATH=/bin", "X=seen"],
        "cwd": "/",
        "user": {"uid": 0, "gid": 0},
    }
    (tmp_path / "process.json").write_text(json.dumps(process))
    done = oci("exec", f"--process={tmp_path}/process.json", "oci-1")
    assert (done.returncode, done.stdout) == (4, "seen\n")


def test_exec_leaves_a_detached_process_to_its_engine(
    oci: Oci, container: int, tmp_path: Path
) -> None:
    oci.ok("exec", "-d", f"--pid-file={tmp_path}/pid", "oci-1", "sh", "-c", "exit 6")
    assert ended(int((tmp_path / "pid").read_text())) == 6


def test_a_program_that_cant_be_run_is_told_in_words_that_engines_know(
    oci: Oci, container: int, make_bundle: Maker
) -> None:
    cases = {
        "nono": 'exec: "nono": executable file not found in $PATH',
        "/nono": 'exec: "/nono": no such file or directory',
        "/etc": 'exec: "/etc": permission denied',
    }
    for program, told in cases.items():
        assert told in oci.refused("exec", "oci-1", program)
        assert oci("exec", "oci-1", program).returncode == 255
        bundle = make_bundle(program, name=f"bundle{program.replace('/', '-')}")
        assert told in oci.refused("create", bundle.at, "oci-2")


def test_ps_lists_its_processes(oci: Oci, container: int) -> None:
    assert container in json.loads(oci.ok("ps", "--format=json", "oci-1"))
    headings, *rows = oci.ok("ps", "oci-1").splitlines()
    assert "PID" in headings
    assert any(str(container) in row.split() for row in rows)
    table = oci.ok("ps", "oci-1", "-o", "pid,comm")
    assert f"{container} sh" in table.replace("  ", " ")


def test_of_ps_only_lines_of_its_pids_are_chosen() -> None:
    lines = ["  PID NAME", "    1 init", "   12 sh", "    2 12"]
    assert ps.chosen(lines, {"12"}) == ["  PID NAME", "   12 sh"]


def test_list_tells_of_all(oci: Oci, container: int) -> None:
    assert oci.ok("list", "-q") == "oci-1\n"
    (told,) = json.loads(oci.ok("list", "--format", "json"))
    assert (told["id"], told["pid"], told["status"]) == ("oci-1", container, "running")
    assert told["owner"] == "root"
    headings, row = oci.ok("list").splitlines()
    assert headings.split() == ["ID", "PID", "STATUS", "BUNDLE", "CREATED", "OWNER"]
    assert row.split()[:3] == ["oci-1", str(container), "running"]


def test_update_changes_limits(oci: Oci, container: int) -> None:
    (name,) = {
        line.split(":", 2)[2].strip("/")
        for line in Path(f"/proc/{container}/cgroup").read_text().splitlines()
        if "oci-1" in line
    }
    oci.ok("update", "--pids-limit=77", "--memory=67108864", "oci-1")
    assert Cgroup(name).read("pids.max").strip() == "77"
    assert Cgroup(name).read("memory.max").strip() == "67108864"
    given = json.dumps({"pids": {"limit": 78}})
    done = subprocess.run(
        oci.command("update", "--resources=-", "oci-1"), input=given, text=True, check=True
    )
    assert done.returncode == 0
    assert Cgroup(name).read("pids.max").strip() == "78"
    for wrong in ("--memory=lots", "--cpuset-cpus=none", "--pids-limit=-x"):
        oci.refused("update", wrong, "oci-1")
    assert "no limit was named" in oci.refused("update", "oci-1")


def test_events_tell_what_it_uses(oci: Oci, container: int) -> None:
    told = json.loads(oci.ok("events", "--stats", "oci-1"))
    assert (told["type"], told["id"]) == ("stats", "oci-1")
    assert told["data"]["pids"]["current"] >= 1
    assert told["data"]["memory"]["usage"]["usage"] > 0
    assert told["data"]["cpu"]["usage"]["total"] > 0
    watching = subprocess.Popen(
        oci.command("events", "--interval=50ms", "oci-1"), stdout=subprocess.PIPE, text=True
    )
    assert watching.stdout is not None
    first, second = (json.loads(watching.stdout.readline()) for _ in range(2))
    assert first["data"]["cpu"]["usage"]["total"] <= second["data"]["cpu"]["usage"]["total"]
    kill(container)
    assert watching.wait(30) == 0  # it ends with the container
    watching.stdout.close()


@pytest.mark.parametrize(("text", "told"), [("5s", 5), ("500ms", 0.5), ("2m", 120), ("3", 3)])
def test_intervals(text: str, told: float) -> None:
    assert events.seconds(text) == told


def test_spec_writes_a_bundle_that_runs_and_overwrites_none(
    oci: Oci, make_bundle: Maker, tmp_path: Path
) -> None:
    bundle = make_bundle("id")
    assert oci.ok("run", bundle.at, "oci-1").startswith("uid=0")
    assert "one already" in oci.refused("spec", bundle.at)
    (tmp_path / "rootless").mkdir()
    oci.ok("spec", "--rootless", "-b", str(tmp_path / "rootless"))
    config = json.loads((tmp_path / "rootless/config.json").read_text())
    assert {"type": "user"} in config["linux"]["namespaces"]
    assert config["linux"]["uidMappings"] == [{"containerID": 0, "hostID": 0, "size": 1}]


def test_features_and_version(oci: Oci) -> None:
    told = json.loads(oci.ok("features"))
    assert told["ociVersionMin"] == "1.0.0"
    assert {"user", "mount", "pid", "network"} <= set(told["linux"]["namespaces"])
    assert {"ro", "rbind", "rro"} <= set(told["mountOptions"])
    version, spec = oci.ok("--version").splitlines()
    assert version.startswith("labrt-oci version ")
    assert spec == f"spec: {told['ociVersionMax']}"


def test_engines_read_failures_from_the_log(oci: Oci, tmp_path: Path) -> None:
    log = tmp_path / "log.json"
    command = [str(oci.program), f"--root={oci.root}", "--log", str(log), "--log-format", "json"]
    done = subprocess.run([*command, "state", "oci-none"], capture_output=True, text=True)
    told = json.loads(log.read_text())
    assert (told["level"], done.returncode) == ("error", 1)
    assert "container does not exist" in told["msg"]
    assert told["msg"] in done.stderr
    subprocess.run([*command, "--debug", "list"], check=True, stdout=subprocess.DEVNULL)
    assert json.loads(log.read_text().splitlines()[1])["level"] == "debug"


def test_what_is_not_done_is_refused_by_name(oci: Oci, sleeper: Bundle) -> None:
    said = oci.refused("--systemd-cgroup", "create", sleeper.at, "oci-1")
    assert "systemd" in said and "cgroupfs" in said
    assert "no verb" in oci.refused("frobnicate")
    assert "no option" in oci.refused("create", "--frobnicate", "oci-1")
    assert "is missing" in oci.refused("create")


def test_the_callers_environment_and_folder_change_nothing(
    oci: Oci, make_bundle: Maker, tmp_path: Path
) -> None:
    bundle = make_bundle("sh", "-c", "umask; pwd; env")
    hostile = tmp_path / "hostile"
    hostile.mkdir()
    (hostile / "json.py").write_text("raise SystemExit('imported')")
    environment = {"PYTHONPATH": str(hostile), "PYTHONHOME": "/none", "PYTHONSTARTUP": "/none"}
    os.chdir(hostile)
    before = os.umask(0o777)
    try:
        os.rmdir(tmp_path / "hostile") if not list(hostile.iterdir()) else None
        told = oci.ok("run", bundle.at, "oci-1", env=environment)
    finally:
        os.umask(before)
        os.chdir("/")
    umask, folder, *rest = told.splitlines()
    assert (umask, folder) == ("0022", "/")
    assert not any(line.startswith("PYTHON") for line in rest)
