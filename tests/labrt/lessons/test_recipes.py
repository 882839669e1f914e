"""The recipe of a running container, with its times."""

from __future__ import annotations

import pytest

import labrt
from labrt.lessons.recipes import merged, start_milliseconds
from labrt.recipe import recipe

pytestmark = pytest.mark.usefixtures("nothing_left")


def test_every_step_is_there_with_its_own_time() -> None:
    with labrt.run("busybox", ["sleep", "600"]) as box:
        steps = recipe(box.spec)
        lines = merged(steps, box.trace)
        shown = labrt.recipe_table(box)
        assert sum(line.count for line in lines) == len(steps)
        total = sum(timed.duration for timed in box.trace) / 1000
        assert sum(line.microseconds for line in lines) == pytest.approx(total)
        assert lines[-1].name == "Exec"
        for name in {step.name for step in steps}:
            assert name in shown.text
        assert f"{len(steps)} steps" in shown.text
        assert start_milliseconds(box) > total / 1000 * 0.5


def test_the_times_belong_to_the_steps_they_stand_beside() -> None:
    with labrt.run("busybox", ["sleep", "600"]) as box:
        lines = merged(recipe(box.spec), box.trace)
        for name in ("Clone", "SetHostname", "PivotRoot"):
            timed = next(timed for timed in box.trace if timed.name == name)
            line = next(line for line in lines if line.name == name)
            assert line.microseconds == timed.duration / 1000
