"""labrt/recipe.py and labrt/perform.py: a container is its list of steps, and the list undoes it.

The faults are driven by the list itself, so a new step is covered without anyone remembering.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from labrt import cgroups
from labrt.declare import declare
from labrt.images import store
from labrt.recipe import recipe
from labrt.spec import Spec
from tests.labrt.fault_driver import FILES

ROOT = Path(__file__).parent.parent.parent
DRIVER = Path(__file__).with_name("fault_driver.py")


@pytest.fixture(scope="module")
def spec(home: Path) -> Spec:
    limits = {} if cgroups.unavailable() else {"memory": "64m", "cpus": "1", "pids_limit": "32"}
    return declare(store.resolve("busybox"), ["true"], **limits, **FILES)


def test_every_step_tells_what_it_does_with_a_man_page_and_a_reason(spec: Spec) -> None:
    for step in recipe(spec):
        assert step.describe(), step.name
        assert re.fullmatch(r"[\w.-]+\(\d\w*\)", step.man), step.name
        assert step.reason, step.name


def test_a_step_that_was_never_done_can_be_undone(spec: Spec) -> None:
    from labrt.step import Context

    for step in reversed(recipe(spec)):
        step.undo(Context(spec))


def test_host_steps_come_before_the_childs(spec: Spec) -> None:
    sides = [step.side for step in recipe(spec)]
    assert sides == sorted(sides, reverse=True)  # "host" … then "container" …


@pytest.fixture(scope="module")
def faults(home: Path) -> list[list[object]]:
    done = subprocess.run(
        [sys.executable, str(DRIVER)],
        capture_output=True,
        text=True,
        timeout=280,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )
    assert done.returncode == 0, done.stderr
    return [json.loads(line) for line in done.stdout.splitlines()]


@pytest.mark.timeout(300)
def test_every_step_was_made_to_fail_and_to_die(faults: list[list[object]], spec: Spec) -> None:
    names = [step.name for step in recipe(spec)]
    tried = [(index, name, way) for index, name, way, _told, _left in faults]
    assert tried == [(i, n, way) for i, n in enumerate(names) for way in ("fail", "kill")]


@pytest.mark.timeout(300)
def test_a_failed_step_is_named_with_the_kernels_answer(faults: list[list[object]]) -> None:
    for _index, name, way, told, _left in faults:
        if way == "fail":
            assert str(told).startswith(f"{name}: "), (name, told)
            assert "EIO: Input/output error" in str(told), (name, told)


@pytest.mark.timeout(300)
def test_nothing_is_left_whatever_step_fails_or_dies(faults: list[list[object]]) -> None:
    left = [(name, way, leftover) for _index, name, way, _told, leftover in faults if leftover]
    assert left == []
