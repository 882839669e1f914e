"""The posture of a container's processes, read by the host: capabilities, filter, descriptors.

What Docker's users know holds here, too; and a process that enters later (`labrt exec`) has what
the first process has, whatever was asked for.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import labrt
from labrt import capabilities
from labrt.declare import declare
from labrt.differences import decoded
from labrt.errors import LabError
from labrt.images import store

ROOT = Path(__file__).parent.parent.parent
pytestmark = pytest.mark.usefixtures("nothing_left")

# https://docs.docker.com/engine/containers/run/#runtime-privilege-and-linux-capabilities
DOCKERS = {
    *("CHOWN", "DAC_OVERRIDE", "FOWNER", "FSETID", "KILL", "SETGID", "SETUID", "SETPCAP"),
    *("NET_BIND_SERVICE", "NET_RAW", "SYS_CHROOT", "MKNOD", "AUDIT_WRITE", "SETFCAP"),
}
EVERY = {
    name.removeprefix("CAP_")
    for name in capabilities.NAMES[: int(Path("/proc/sys/kernel/cap_last_cap").read_text()) + 1]
}
SETS = ("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb")


def status(pid: int) -> dict[str, str]:
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return {name: value.strip() for name, _, value in (line.partition(":") for line in lines)}


def posture(**options: Any) -> dict[str, str]:
    with labrt.run("busybox", ["sleep", "60"], **options) as c:
        return status(c.pid)


def names(mask: str) -> set[str]:
    return set(decoded(mask).split()) - {"none"}


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({}, DOCKERS),
        ({"cap_add": ["NET_ADMIN"]}, DOCKERS | {"NET_ADMIN"}),
        ({"cap_add": ["cap_net_admin"]}, DOCKERS | {"NET_ADMIN"}),
        ({"cap_drop": ["CHOWN", "mknod"]}, DOCKERS - {"CHOWN", "MKNOD"}),
        ({"cap_drop": ["ALL"]}, set()),
        ({"cap_drop": ["ALL"], "cap_add": ["CHOWN"]}, {"CHOWN"}),
        ({"cap_add": ["ALL"]}, EVERY),
        ({"cap_add": ["ALL"], "cap_drop": ["SYS_ADMIN"]}, EVERY - {"SYS_ADMIN"}),
        ({"privileged": True}, EVERY),
    ],
)
def test_all_five_sets_are_as_dockers(options: dict[str, Any], expected: set[str]) -> None:
    found = posture(**options)
    sets = {name: names(found[name]) for name in SETS}
    assert sets == {
        "CapInh": set(),
        "CapPrm": expected,
        "CapEff": expected,
        "CapBnd": expected,
        "CapAmb": set(),
    }


@pytest.mark.parametrize(
    ("options", "no_new_privs", "seccomp"),
    [
        ({}, "1", "2"),
        ({"security_opt": ["no-new-privileges=false"]}, "0", "2"),
        ({"security_opt": ["no-new-privileges:true"]}, "1", "2"),
        ({"security_opt": ["seccomp=unconfined"]}, "1", "0"),
        ({"privileged": True}, "0", "0"),
        ({"privileged": True, "security_opt": ["no-new-privileges"]}, "1", "0"),
        ({"privileged": True, "security_opt": ["seccomp=default"]}, "0", "2"),
    ],
)
def test_no_new_privileges_and_the_filter(
    options: dict[str, Any], no_new_privs: str, seccomp: str
) -> None:
    found = posture(**options)
    assert (found["NoNewPrivs"], found["Seccomp"]) == (no_new_privs, seccomp)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"cap_add": ["NOSUCH"]}, "no capability has that name"),
        ({"cap_drop": [""]}, "no capability has that name"),
        ({"security_opt": ["nosuch"]}, "none of this kind"),
        ({"security_opt": ["no-new-privileges=maybe"]}, "none of this kind"),
        ({"security_opt": ["seccomp="]}, "none of this kind"),
        ({"security_opt": ["seccomp=/no/such"]}, "No such file"),
        ({"security_opt": ["seccomp=/etc/hostname"]}, "no JSON with a defaultAction"),
    ],
)
def test_what_is_none_is_refused(options: dict[str, Any], said: str) -> None:
    with pytest.raises(LabError, match=said):
        labrt.run("busybox", ["true"], **options)


def test_inside_it_has_standard_input_output_and_error_alone() -> None:
    """`ls` itself opens one more, to read the folder."""
    listed = labrt.output("busybox", ["sh", "-c", "exec ls /proc/self/fd"]).split()
    assert listed == ["0", "1", "2", "3"]
    assert "proc" in labrt.output("busybox", ["sh", "-c", "ls -l /proc/self/fd/3; echo /proc"])


@pytest.mark.parametrize("init", [False, True])
def test_the_host_sees_no_more_descriptors_either(init: bool) -> None:
    kept = os.open("/etc", os.O_RDONLY)
    os.set_inheritable(kept, True)
    try:
        with labrt.run("busybox", ["sleep", "60"], init=init) as c:
            pids = Path(f"/proc/{c.pid}/task/{c.pid}/children").read_text().split()
            program = int(pids[0]) if init else c.pid
            assert sorted(os.listdir(f"/proc/{program}/fd")) == ["0", "1", "2"]
            if init and os.geteuid() == 0:  # the init shows its descriptors to nobody else
                assert os.listdir(f"/proc/{c.pid}/fd") == []
    finally:
        os.close(kept)


# Entering clones, so it is done in a process of its own that has one thread.
ENTER = """
import json, sys
from pathlib import Path
from labrt import container
from labrt.declare import declare
from labrt.images import store
from labrt.options import given
spec = declare(store.resolve("busybox"), ["sleep", "60"], given(**json.loads(sys.argv[1])))
seen = ("Uid", "Gid", "Groups", "CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb", "NoNewPrivs",
        "Seccomp", "Seccomp_filters", "Umask")
def facts(pid):
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    pairs = dict(line.partition(":")[::2] for line in lines)
    kept = {name: pairs[name].strip() for name in seen if name in pairs}
    spaces = {file.name: str(file.readlink()) for file in Path(f"/proc/{pid}/ns").iterdir()}
    folder = Path(f"/proc/{pid}")
    rest = {name: (folder / name).read_text() for name in ("cgroup", "limits", "uid_map")}
    fds = sorted(file.name for file in (folder / "fd").iterdir())
    return {**kept, **spaces, **rest, "fds": fds, "oom": (folder / "oom_score_adj").read_text()}
with container.start(spec) as first, container.enter(first.folder, spec.process) as second:
    print(json.dumps([facts(first.pid), facts(second.pid)]))
"""


@pytest.mark.parametrize(
    "options",
    [
        "{}",
        '{"privileged": true}',
        '{"cap_drop": ["ALL"], "cap_add": ["CHOWN"]}',
        '{"security_opt": ["no-new-privileges=false"]}',
        '{"security_opt": ["seccomp=unconfined"]}',
        '{"ulimit": ["nofile=64:65"]}',
    ],
)
def test_who_enters_has_the_posture_of_the_first_process(options: str) -> None:
    done = entered(options)
    assert done.returncode == 0, done.stderr
    first, second = json.loads(done.stdout)
    assert second == first


def test_only_root_gives_who_enters_an_oom_score_and_a_user_is_told_so() -> None:
    done = entered('{"oom_score_adj": "900"}')
    if os.geteuid() == 0:
        first, second = json.loads(done.stdout)
        assert first["oom"] == second["oom"] == "900\n"
    else:
        assert done.returncode == 1
        assert "SetOomScoreAdj: write 900" in done.stderr
        assert "as a user, for a process in a container that runs" in done.stderr


def entered(options: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", ENTER, options],
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )


def test_a_profile_of_the_users_own_is_in_force(tmp_path: Path) -> None:
    file = tmp_path / "profile.json"
    rule = '{"names": ["mkdir", "mkdirat"], "action": "SCMP_ACT_ERRNO", "errnoRet": 28}'
    file.write_text(f'{{"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [{rule}]}}')
    option = [f"seccomp={file}"]
    assert "No space left" in labrt.output("busybox", ["mkdir", "/a"], security_opt=option)


def test_dockers_default_set_is_the_declared_one() -> None:
    sets = declare(store.resolve("busybox"), ["true"]).process.capabilities
    assert sets is not None
    assert {name.removeprefix("CAP_") for name in sets.bounding} == DOCKERS
