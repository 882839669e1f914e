"""labrt/recipe.py: a container is its list of steps. That the list undoes it: test_faults.py."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from labrt.declare import declare
from labrt.images import store
from labrt.recipe import recipe
from labrt.spec import Spec
from labrt.step import Context, Step
from tests.labrt import fault_driver


@pytest.fixture(scope="module")
def spec(home: Path) -> Spec:
    return declare(store.resolve("busybox"), ["true"], **fault_driver.options())


def test_every_step_tells_what_it_does_with_a_man_page_and_a_reason(spec: Spec) -> None:
    for step in recipe(spec):
        assert step.describe(), step.name
        assert re.fullmatch(r"[\w.-]+\(\d\w*\)", step.man), step.name
        assert step.reason, step.name


def test_a_step_that_was_never_done_can_be_undone(spec: Spec) -> None:
    for step in reversed(recipe(spec)):
        step.undo(Context(spec))


def test_host_steps_come_before_the_childs(spec: Spec) -> None:
    sides = [step.side for step in recipe(spec)]
    assert sides == sorted(sides, reverse=True)  # "host" … then "container" …


def kinds(of: type[Step] = Step) -> Iterator[type[Step]]:
    for each in of.__subclasses__():
        yield each
        yield from kinds(each)


def test_a_step_that_is_done_otherwise_than_its_kind_says_so_in_its_calls() -> None:
    """Who performs the calls would pass over a `do` that is more."""
    for each in kinds():
        base = each.__mro__[1]
        if "do" in vars(each) and base.calls is not Step.calls:
            assert "calls" in vars(each), each
