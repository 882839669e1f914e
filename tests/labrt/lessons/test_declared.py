"""labrt/lessons/declared.py: containers of a file, wanted and found; clean-up removes them."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import pytest

import labrt
from labrt import applying
from labrt.lessons import declared, observe

pytestmark = pytest.mark.usefixtures("student", "nothing_left")

PAIR = """
[web]
image = "busybox"
command = ["sleep", "60"]
env = ["PLACE=yard"]
stop-timeout = 0

[db]
image = "busybox"
command = ["sleep", "61"]
stop-timeout = 0
"""


@pytest.fixture
def file() -> Iterator[Path]:
    """A file of two containers, applied."""
    file = declared.folder() / "pair.toml"
    file.write_text(PAIR)
    labrt.apply(file)
    yield file
    labrt.clean_up()


def test_a_process_is_known_by_its_pid_and_its_start(file: Path) -> None:
    before = declared.processes(file)
    assert list(before) == ["db", "web"]
    labrt.find("web").stop()
    assert declared.processes(file) == {"db": before["db"]}
    labrt.apply(file)
    after = declared.processes(file)
    assert after["db"] == before["db"] and after["web"] != before["web"]


def test_a_look_tells_the_environment_that_the_kernel_has(file: Path) -> None:
    db, web = declared.look(file).splitlines()
    assert web.startswith(f"web: pid {labrt.find('web').status.pid}, started at tick ")
    assert "PLACE=yard" in web and "PLACE" not in db


def test_a_process_has_started_when_it_was_started(file: Path) -> None:
    tick = 0.02  # two of them: both clocks are read to one
    (replaced,) = [each for each in labrt.containers() if each.spec.life.name == "web"]
    begun = time.time()
    replaced.stop()
    replaced.start()
    assert begun - tick <= observe.start_time(replaced.status.pid) <= time.time() + tick
    replaced.stop()
    assert observe.start_time(replaced.status.pid) == 0.0


def test_a_plan_tells_each_deed_and_does_none(file: Path) -> None:
    before = declared.processes(file)
    later = PAIR.replace("PLACE=yard", "PLACE=quay").replace("[db]", "[till]")
    file.write_text(later)
    shown = declared.plan(file)
    rows = [line.split("  ") for line in shown.text.splitlines()[2:]]
    told = {row[0].strip(): row[-1].strip() for row in rows}
    assert told == {"db": "removed", "web": "replaced (process)", "till": "created"}
    assert 'w1 -->|"replaced (process)"| f1' in shown.markdown
    assert "PLACE=quay sleep 60" in shown.text and "PLACE=yard sleep 60" in shown.text
    assert declared.processes(file) == before


def test_clean_up_removes_the_containers_of_each_file(file: Path) -> None:
    declared.folder()  # a cell that is run again says nothing twice
    told = labrt.clean_up().text
    assert told.count("declared containers removed") == 1
    assert "declared containers removed: 2" in told
    assert "containers ended:            0" in told
    assert labrt.containers(every=True) == []


def test_clean_up_leaves_those_of_other_files(file: Path, tmp_path: Path) -> None:
    other = tmp_path / "other.toml"
    other.write_text(PAIR.split("[db]")[0].replace("web", "other"))
    labrt.apply(other)
    try:
        before = declared.processes(other)
        applying.remove(file)
        assert declared._remove_all() == 0
        assert declared.processes(other) == before
    finally:
        applying.remove(other)
