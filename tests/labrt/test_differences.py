"""labrt diff: what makes a container, read from the kernel; what it has changed in its files."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

import labrt
from labrt.changes import changes
from labrt.differences import ABSENT, READERS, Difference, decoded, differences
from tests.labrt.conftest import needs_cgroups
from tests.labrt.test_cli import labrt as command

pytestmark = pytest.mark.usefixtures("nothing_left")
DOCKERS = (
    "CHOWN DAC_OVERRIDE FOWNER FSETID KILL SETGID SETUID SETPCAP NET_BIND_SERVICE NET_RAW "
    "SYS_CHROOT MKNOD AUDIT_WRITE SETFCAP"
)


def by_group(found: list[Difference]) -> dict[str, dict[str, Difference]]:
    return {
        group: {each.what: each for each in found if each.group == group}
        for group in dict.fromkeys(each.group for each in found)
    }


def test_a_process_does_not_differ_from_itself() -> None:
    assert differences(os.getpid()) == []


def test_a_container_differs_in_names_root_mounts_and_credentials() -> None:
    with labrt.run("busybox", ["sleep", "60"], ulimit=["nofile=64:65"]) as c:
        found = by_group(differences(c.pid))
    assert set(found["namespaces"]) >= {"cgroup", "ipc", "mnt", "net", "pid", "user", "uts"}
    assert "/" in found["root"]
    assert found["mounts"]["/"].container.startswith("overlay")
    assert found["mounts"]["/dev/null"].plain == ABSENT or "null" in found["mounts"]["/dev/null"][3]
    credentials = found["credentials"]
    assert credentials["bounding capabilities"].container == DOCKERS
    assert credentials["no_new_privs"].container == "1"
    assert credentials["seccomp"].container == "filter"
    assert found["rlimits"]["open files"].container == "64:65"


@needs_cgroups
def test_it_differs_in_its_cgroup() -> None:
    with labrt.run("busybox", ["sleep", "60"]) as c:
        found = by_group(differences(c.pid))
        assert found["cgroup"]
        for each in found["cgroup"].values():  # below what is delegated to this user, if so
            assert each.container.endswith(f"/{c.spec.cgroup}")


def test_every_group_can_be_read_of_a_plain_process() -> None:
    for group, read in READERS.items():
        assert read(Path("/proc/self")), group


def test_capabilities_are_named() -> None:
    assert decoded("0000000000000401") == "CHOWN NET_BIND_SERVICE"
    assert decoded("0") == "none"


def test_the_command_groups_them_and_has_json() -> None:
    with labrt.run("busybox", ["sleep", "60"]) as c:
        text, told = command("diff", c.id).stdout, command("diff", "--json", c.id).stdout
    assert [line for line in text.splitlines() if not line.startswith(" ")][:3] == [
        "namespaces",
        "root",
        "mounts",
    ]
    facts = json.loads(told)
    assert {"group": "credentials", "what": "no_new_privs", "plain": "0", "container": "1"} in facts


def test_none_of_this_name_is_one_line() -> None:
    done = command("diff", "nosuch")
    assert (done.returncode, done.stderr.count("\n")) == (125, 1)


def test_files_it_added_changed_and_deleted(tmp_path: Path) -> None:
    script = "mkdir /new; touch '/new/a\tb'; chmod 700 /bin; rm -r /lab; echo done; sleep 60"
    reader, writer = os.pipe()
    with labrt.run("busybox", ["sh", "-c", script], stdout=writer) as c, os.fdopen(reader) as said:
        os.close(writer)
        assert said.readline() == "done\n"
        assert set(changes(c.spec)) >= {
            ("A", "/new"),
            ("A", "/new/a\tb"),
            ("C", "/bin"),
            ("D", "/lab"),
        }
        assert "A '/new/a\\tb'\n" in command("diff", "--files", c.id).stdout
