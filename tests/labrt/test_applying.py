"""A file that declares containers (applying.py): only what differs is done."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

import labrt
from labrt import applying
from labrt.errors import LabError
from tests.labrt.conftest import needs_cgroups
from tests.labrt.test_cli import labrt as command
from tests.labrt.test_handle import until

pytestmark = pytest.mark.usefixtures("nothing_left")

BUSY = """
[web]
image = "busybox"
command = ["sleep", "60"]
stop-timeout = 0

[db]
image = "busybox"
command = ["sleep", "61"]
env = ["NAME=db"]
stop-timeout = 0
"""
Say = Callable[[str], Path]


@pytest.fixture
def say(tmp_path: Path) -> Iterator[Say]:
    """Write the file; its containers go with the test."""
    file = tmp_path / "shop.toml"

    def write(text: str) -> Path:
        file.write_text(text)
        return file

    yield write
    applying.remove(file)


def deeds(file: Path) -> dict[str, str]:
    return {change.name: change.deed for change in labrt.apply(file)}


def pids() -> dict[str, int]:
    return {each.spec.life.name: each.status.pid for each in labrt.containers()}


def environment(name: str) -> str:
    return command("exec", name, "sh", "-c", "echo $NAME").stdout.strip()


def test_what_is_declared_runs_and_the_same_again_changes_nothing(say: Say) -> None:
    file = say(BUSY)
    assert deeds(file) == {"web": "created", "db": "created"}
    before = pids()
    assert before.keys() == {"web", "db"}
    assert environment("db") == "db"
    assert deeds(file) == {"web": "unchanged", "db": "unchanged"}
    assert pids() == before, "the very same processes"


def test_only_the_one_that_differs_is_made_anew_and_it_is_told_where(say: Say) -> None:
    labrt.apply(say(BUSY))
    before = pids()
    web, db = labrt.apply(say(BUSY.replace("NAME=db", "NAME=other")))
    assert (web.deed, db.deed, [*db.differs]) == ("unchanged", "replaced", ["process"])
    assert repr([web, db]) == "[web: unchanged, db: replaced (process)]", "what a notebook shows"
    assert pids()["web"] == before["web"]
    assert environment("db") == "other"


def test_what_is_not_declared_any_more_goes(say: Say) -> None:
    labrt.apply(say(BUSY))
    before = pids()
    assert deeds(say(BUSY.split("[db]")[0])) == {"db": "removed", "web": "unchanged"}
    assert pids() == {"web": before["web"]}


def test_one_that_has_ended_is_started_again(say: Say) -> None:
    labrt.apply(say(BUSY))
    labrt.find("db").stop()
    assert deeds(say(BUSY)) == {"web": "unchanged", "db": "started"}


def test_another_image_of_the_same_name_is_a_difference(say: Say, tmp_path: Path) -> None:
    def build(text: str) -> None:
        (tmp_path / "Containerfile").write_text(f"FROM busybox\nENV VERSION={text}\n")
        labrt.build(tmp_path, tag="shop")

    build("1")
    file = say(BUSY.replace("busybox", "shop", 1))
    labrt.apply(file)
    build("2")
    web, db = labrt.apply(file)
    assert (web.deed, db.deed) == ("replaced", "unchanged")
    assert {"image_digest", "process"} <= web.differs.keys()


@needs_cgroups
class TestLimits:
    LIMITED = BUSY.replace("[db]", 'memory = "64m"\n[db]')

    def test_they_change_in_the_running_process(self, say: Say) -> None:
        labrt.apply(say(self.LIMITED))
        before = pids()
        web, db = labrt.apply(say(self.LIMITED.replace("64m", "32m")))
        limit = {"memory.max": (str(64 << 20), str(32 << 20))}
        assert (web.deed, web.differs, db.deed) == ("limited", limit, "unchanged")
        assert str(web) == f"web: limited (memory.max {64 << 20} → {32 << 20})"
        assert labrt.find("web").usage().memory_max == 32 << 20
        assert pids() == before
        assert deeds(say(self.LIMITED.replace("64m", "32m"))) == dict.fromkeys(before, "unchanged")

    def test_they_are_kept_when_it_is_started_again(self, say: Say) -> None:
        labrt.apply(say(self.LIMITED))
        changed = say(self.LIMITED.replace("64m", "32m"))
        labrt.apply(changed)
        labrt.find("web").stop()
        assert deeds(changed) == {"web": "started", "db": "unchanged"}
        assert labrt.find("web").usage().memory_max == 32 << 20

    def test_one_that_is_lifted_takes_a_new_container(self, say: Say) -> None:
        labrt.apply(say(self.LIMITED))
        assert deeds(say(BUSY)) == {"web": "replaced", "db": "unchanged"}
        assert labrt.find("web").usage().memory_max is None


def test_who_joins_another_is_made_anew_with_it(say: Say) -> None:
    pod = BUSY.replace("[db]", '[db]\nuts = "container:web"')
    labrt.apply(say(pod))
    assert deeds(say(pod)) == {"web": "unchanged", "db": "unchanged"}
    changed = say(pod.replace('["sleep", "60"]', '["sleep", "62"]'))
    assert deeds(changed) == {"web": "replaced", "db": "replaced"}
    assert deeds(changed) == {"web": "unchanged", "db": "unchanged"}


def test_a_name_that_is_somebody_elses_is_left_to_them(say: Say) -> None:
    theirs = labrt.create("busybox", ["sleep", "60"], name="db")
    try:
        with pytest.raises(LabError, match="'db' is there, and isn't of this file"):
            labrt.apply(say(BUSY))
        assert theirs.folder.exists() and pids() == {}
    finally:
        theirs.remove()


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[web", "line 1"),
        ("web = 1", "it names no image"),
        ("[web]\ncommand = ['true']", "it names no image"),
        ("[web]\nimage = 'nosuch'", "nosuch"),
        ("[web]\nimage = 'busybox'\ncommand = 'sleep 60'", "no list of words"),
        ("[web]\nimage = 'busybox'\nmemori = '1m'", "no option is called 'memori'"),
        ("[web]\nimage = 'busybox'\nrm = true", "no option is called 'rm'"),
        ("[web]\nimage = 'busybox'\nread-only = 'yes'", "read_only takes true or false"),
        ("[web]\nimage = 'busybox'\nenv = 'A=1'", "env takes a list"),
        ("[web]\nimage = 'busybox'\nmemory = true", "memory takes a word or a number"),
        ("[web]\nimage = 'busybox'\nhostname = 'a_b'", "not a host name"),
        ("['a b']\nimage = 'busybox'", "call a container 'a b'"),
        ("[web]\nimage = 'busybox'\nuts = 'container:nosuch'", "none of this name"),
    ],
)
def test_what_declares_nothing_that_can_be_changes_nothing(say: Say, text: str, said: str) -> None:
    file = say(f"{BUSY.split('[db]')[0].replace('web', 'first')}\n")
    labrt.apply(file)
    before = pids()
    done = command("apply", str(say(f"{text}\n{file.read_text()}")))
    assert (done.returncode, done.stdout) == (125, "")
    assert said in done.stderr and done.stderr.count("\n") == 1
    assert pids() == before


def test_one_that_cannot_start_is_told_and_leaves_nothing(say: Say) -> None:
    done = command("apply", str(say(BUSY.replace('["sleep", "61"]', '["nosuch"]'))))
    assert done.returncode == 127 and "no program 'nosuch'" in done.stderr
    assert done.stdout == "web: created\n"
    assert [each.spec.life.name for each in labrt.containers(every=True)] == ["web"]


def test_the_command_tells_each_and_a_dry_run_only_tells(say: Say) -> None:
    file = str(say(BUSY))
    assert command("apply", "--dry-run", file).stdout == "web: created\ndb: created\n"
    assert pids() == {}
    assert command("apply", file).stdout == "web: created\ndb: created\n"
    say(BUSY.replace("NAME=db", "NAME=x"))
    assert command("apply", file).stdout == "web: unchanged\ndb: replaced (process)\n"
    (told, _other) = map(json.loads, command("apply", "--json", file).stdout.splitlines())
    assert told == {"name": "web", "deed": "unchanged", "differs": {}}
    assert command("apply", "--remove", file).stdout == "web: removed\ndb: removed\n"
    until(lambda: labrt.containers(every=True) == [])
