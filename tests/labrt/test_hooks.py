"""Hooks run at their moment and place and are told the state; their failure means something."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import pytest

from labrt.errors import LabError
from labrt.hooks import run
from labrt.spec import Hook
from tests.labrt.bundle.bundles import PATIENT, Bundles
from tests.labrt.conftest import needs_root

pytestmark = needs_root  # the bundles here have no user namespace

STAGES = ("prestart", "createRuntime", "createContainer", "startContainer", "poststart", "poststop")
OUTSIDE = [stage for stage in STAGES if stage != "startContainer"]
PLAIN = ["PATH=/bin:/usr/bin"]


def shell(script: str, **more: Any) -> dict[str, Any]:
    return {"path": "/bin/sh", "args": ["sh", "-c", script], "env": PLAIN, **more}


def hooks(**stages: list[dict[str, Any]]) -> dict[str, Any]:
    return {"hooks": stages}


class Noted:
    """A file of the host's that hooks write a line into."""

    def __init__(self, file: Path) -> None:
        self.file = file

    def hook(self, word: str, what: str = "", **more: Any) -> dict[str, Any]:
        return shell(f"echo {word} {what} >> {self.file}", **more)

    def lines(self) -> list[str]:
        return self.file.read_text().splitlines() if self.file.exists() else []


@pytest.fixture
def noted(tmp_path: Path) -> Noted:
    return Noted(tmp_path / "noted")


def test_they_run_in_order_each_once(bundles: Bundles, noted: Noted) -> None:
    stages = {stage: [noted.hook(f"{stage}-{n}") for n in (1, 2)] for stage in OUTSIDE}
    bundles.run(hooks(**stages), run="true")
    assert noted.lines() == [f"{stage}-{n}" for stage in OUTSIDE for n in (1, 2)]


def test_create_start_and_delete_have_their_own(bundles: Bundles, noted: Noted) -> None:
    bundles.write(hooks(**{stage: [noted.hook(stage)] for stage in OUTSIDE}), run="sleep 100")
    assert bundles("create", "-b", str(bundles.folder), bundles.name, **PATIENT).returncode == 0
    assert noted.lines() == ["prestart", "createRuntime", "createContainer"]
    (bundles.folder / "config.json").write_text("{}")  # no change after create has an effect
    assert bundles("start", bundles.name).returncode == 0
    assert noted.lines()[3:] == ["poststart"]
    assert bundles("delete", "--force", bundles.name).returncode == 0
    assert noted.lines()[4:] == ["poststop"]


def test_they_are_told_the_state(bundles: Bundles, noted: Noted) -> None:
    told = {stage: [noted.hook("", '"$(cat)"')] for stage in OUTSIDE}
    bundles.run(hooks(**told), {"annotations": {"org.example": "yes"}}, run="true")
    states = [json.loads(line) for line in noted.lines()]
    assert [each["status"] for each in states] == ["creating"] * 3 + ["running", "stopped"]
    for state in states:
        assert state["id"] == bundles.name
        assert state["bundle"] == str(bundles.folder)
        assert state["annotations"] == {"org.example": "yes"}
    of_host, _, of_container, after, _ = (each["pid"] for each in states)
    assert of_host == after > 1
    assert of_container == 1, "as the container numbers it"


def test_where_they_run(bundles: Bundles, noted: Noted) -> None:
    seen = '$(readlink /proc/self/ns/mnt) "$(pwd)" $(ls / | grep -c probe-root)'
    (bundles.root / "probe-root").touch()
    stages = {stage: [noted.hook(stage, seen)] for stage in OUTSIDE}
    inside = shell("echo $(pwd) $(ls / | grep -c probe-root) > /dev/shm/h")
    out = bundles.run(hooks(**stages, startContainer=[inside]), run="cat /dev/shm/h")
    found = {line.split()[0]: line.split()[1:] for line in noted.lines()}
    ours = str(Path("/proc/self/ns/mnt").readlink())
    assert {stage for stage in OUTSIDE if found[stage][0] == ours} == {*OUTSIDE} - {
        "createContainer"
    }
    assert found["prestart"][1] == str(bundles.folder)
    assert found["createContainer"][1] == str(bundles.root)
    assert {each[2] for each in found.values()} == {"0"}, "their path is the host's"
    assert out == "/ 1\n"


def test_a_mount_made_by_a_hook_is_the_containers(bundles: Bundles, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("from a hook\n")
    make = shell(f"mount --bind {tmp_path} {bundles.root}/mnt")
    assert bundles.run(hooks(createContainer=[make]), run="cat /mnt/file") == "from a hook\n"


def test_a_hook_finds_all_mounted(bundles: Bundles, noted: Noted) -> None:
    look = noted.hook("seen", f"$(grep -c {bundles.root}/dev/shm /proc/self/mountinfo)")
    bundles.run(hooks(createContainer=[look]), run="true")
    assert noted.lines() == ["seen 1"]


def test_their_environment_is_what_they_are_given(
    bundles: Bundles, noted: Noted, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SECRET", "of the engine")
    given = noted.hook("", "$(env | sort | tr '\\n' ' ')", env=[*PLAIN, "A=a b"])
    bundles.run(hooks(prestart=[given]), run="true")
    (line,) = noted.lines()
    assert "A=a b" in line and "SECRET" not in line


@pytest.mark.parametrize("stage", [stage for stage in STAGES if stage != "poststop"])
def test_one_that_fails_ends_the_container(bundles: Bundles, noted: Noted, stage: str) -> None:
    failing = [shell("echo what went wrong >&2; exit 3"), noted.hook("another")]
    told = bundles.refused(
        hooks(**{stage: failing, "poststop": [noted.hook("poststop")]}), run="sleep 100"
    )
    assert f"run the {stage} hook /bin/sh: it ended with 3 (what went wrong)" in told
    assert noted.lines() == ["poststop"]
    assert bundles("state", bundles.name).returncode != 0


def test_one_that_fails_after_start_removes_the_container(bundles: Bundles, noted: Noted) -> None:
    failing = [shell("exit 3")]
    for stage in ("startContainer", "poststart"):
        bundles.write(hooks(**{stage: failing}), run="sleep 100")
        assert bundles("create", "-b", str(bundles.folder), bundles.name, **PATIENT).returncode == 0
        done = bundles("start", bundles.name)
        assert f"run the {stage} hook" in done.stderr
        assert bundles("state", bundles.name).returncode != 0


def test_poststop_that_fails_is_warned_of_and_the_next_one_runs(
    bundles: Bundles, noted: Noted
) -> None:
    both = [shell("exit 3"), noted.hook("next")]
    done = bundles.outcome(hooks(poststop=both), run="exit 5")
    assert done.returncode == 5
    assert "run the poststop hook /bin/sh: it ended with 3" in done.stderr
    assert noted.lines() == ["next"]


def test_one_that_takes_too_long_is_killed_with_all_it_has_started(bundles: Bundles) -> None:
    began = time.monotonic()
    told = bundles.refused(
        hooks(createRuntime=[shell("sleep 1000 & sleep 1000", timeout=1)]), run="true"
    )
    assert "it took over 1 s" in told
    assert time.monotonic() - began < 500


def test_one_that_is_not_there_is_named(bundles: Bundles) -> None:
    told = bundles.refused(hooks(prestart=[{"path": "/no/such/hook"}]), run="true")
    assert "No such file or directory: /no/such/hook" in told


def test_one_that_leaves_a_process_behind_is_not_waited_for() -> None:
    run("prestart", Hook("/bin/sh", ("sh", "-c", "sleep 5 &"), tuple(PLAIN)), {}, None)


def test_a_large_state_is_told_whole(tmp_path: Path) -> None:
    script = f"cat > {tmp_path}/told"
    run("prestart", Hook("/bin/sh", ("sh", "-c", script), tuple(PLAIN)), {"x": "y" * 200_000}, None)
    assert json.loads((tmp_path / "told").read_text()) == {"x": "y" * 200_000}


def test_one_that_does_not_read_its_state_is_none_the_worse() -> None:
    run("prestart", Hook("/bin/true"), {"x": "y" * 200_000}, None)
    with pytest.raises(LabError, match="it ended with 1"):
        run("prestart", Hook("/bin/false"), {}, None)
