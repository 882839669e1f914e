"""bench/progress.py: the time left is learnt from what this run has taken."""

from __future__ import annotations

import io

import pytest
from rich.console import Console

from bench.experiments.startup import Startup
from bench.plan import Planned
from bench.progress import Reporter, TimeLeft
from tests.bench.toy_subject import Toy


def trials(count: int) -> list[Planned]:
    toy, startup = Toy(), Startup()
    return [Planned(startup, toy, sample) for sample in range(count)]


def test_it_is_what_the_like_has_taken_so_far() -> None:
    planned = trials(5)
    left = TimeLeft(planned)
    left.took(planned[0], 2.0)
    left.took(planned[1], 4.0)
    assert left.seconds() == pytest.approx(9.0)
    assert left.seconds(elapsed=1.0) == pytest.approx(8.0)
    assert left.seconds(elapsed=99.0) == pytest.approx(6.0)


def test_a_trial_that_was_not_tried_teaches_nothing() -> None:
    planned = trials(3)
    left = TimeLeft(planned)
    left.took(planned[0], 2.0)
    left.took(planned[1], None)
    assert left.seconds() == pytest.approx(2.0)


def test_rounds_that_would_begin_too_late_are_not_counted() -> None:
    planned = trials(50)
    left = TimeLeft(planned, limit=10.0)
    left.took(planned[0], 3.0)
    assert left.seconds() == pytest.approx(3 * 3.0)  # rounds begin after 3, 6 and 9 s
    left.took(planned[1], 20.0)
    assert left.seconds() == pytest.approx(11.5)  # three rounds are done, however late it is


def test_a_round_that_has_begun_is_counted_to_its_end() -> None:
    toys, startup = (Toy("a"), Toy("b")), Startup()
    planned = [Planned(startup, toy, sample) for sample in range(9) for toy in toys]
    left = TimeLeft(planned, limit=10.0)
    for trial in planned[:7]:
        left.took(trial, 2.0)
    assert left.to_come() == planned[7:8]


def test_nothing_is_left_at_the_end() -> None:
    planned = trials(1)
    left = TimeLeft(planned)
    left.took(planned[0], 2.0)
    assert left.seconds() == 0


@pytest.mark.parametrize("terminal", [True, False])
def test_it_tells_what_is_being_done(terminal: bool) -> None:
    output = io.StringIO()
    planned = trials(2)
    console = Console(file=output, force_terminal=terminal, width=80)
    with Reporter(console) as reporter:
        reporter.begin(planned)
        for trial in planned:
            reporter.doing(trial)
            reporter.done(trial)
        reporter.note("something [b]odd[/b] happened")
    assert "startup" in output.getvalue()
    assert "something [b]odd[/b] happened" in output.getvalue()
