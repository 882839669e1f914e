"""bench/experiments/ladder.py: every rung is started in every round, beside the unchanged one."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import pytest

from bench import subjects
from bench.experiments.ladder import GIVE_UP_AFTER, WHOLE, Ladder
from bench.plan import Planned
from bench.progress import TimeLeft
from bench.subjects.base import Subject, Workload
from bench.subjects.labrt import VARIANTS
from bench.views.ladder import WHOLE as WHOLE_SHOWN
from labrt.declare import declare
from labrt.images import store
from labrt.options import given
from labrt.recipe import recipe
from tests.bench.conftest import needs_cgroups
from tests.bench.test_runner import plan_of, run
from tests.bench.toy_subject import Toy, fails_at


class Changeable(Toy):
    """A toy with two rungs, of which one may fail."""

    def __init__(self, broken: bool = False, all_broken: bool = False) -> None:
        super().__init__(fault=fails_at("ready") if all_broken else lambda at: None)
        fault = fails_at("ready") if broken or all_broken else lambda at: None
        self.rungs = {"less": Toy(fault=fault), "more": Toy(fault=fails_at())}
        if all_broken:
            self.rungs["more"] = Toy(fault=fault)

    def variants(self) -> Mapping[str, Subject]:
        return self.rungs


def test_every_rung_and_the_unchanged_one_is_started_once_a_round(tmp_path: Path) -> None:
    rows, _ = run(plan_of([Changeable()], [Ladder()]), tmp_path)
    counted = Counter(row.phase for row in rows if not row.warmup)
    assert counted == {WHOLE: 4, "less": 4, "more": 4}
    assert {row.subject for row in rows} == {"toy"}


def test_the_order_within_a_round_is_drawn(tmp_path: Path) -> None:
    plan = plan_of([Changeable()], [Ladder()])
    rows, _ = run(replace(plan, settings=replace(plan.settings, n=12)), tmp_path)
    rounds = [tuple(row.phase for row in rows if row.sample == number) for number in range(12)]
    assert len(set(rounds)) > 1


def test_one_ends_before_the_next_begins(tmp_path: Path) -> None:
    subject = Changeable()
    alive: list[int] = []
    toys = [subject, *subject.rungs.values()]
    for toy in toys:
        toy.fault = lambda at: alive.append(sum(len(t.alive) for t in toys))
    run(plan_of([subject], [Ladder()]), tmp_path)
    assert max(alive) == 1
    assert alive[-1] == 0


def test_a_rung_that_fails_is_a_row_and_the_others_go_on(tmp_path: Path) -> None:
    rows, _ = run(plan_of([Changeable(broken=True)], [Ladder()]), tmp_path)
    outcome = Counter((row.phase, row.status) for row in rows if not row.warmup)
    assert outcome == {(WHOLE, "ok"): 4, ("less", "failed"): 4, ("more", "ok"): 4}


def test_where_nothing_starts_it_is_given_up(tmp_path: Path) -> None:
    subject = Changeable(all_broken=True)
    rows, notes = run(plan_of([subject], [Ladder()]), tmp_path)
    assert {row.status for row in rows} == {"failed"}
    assert "not tried" in notes[-1]
    assert subject.started < GIVE_UP_AFTER * 2


def test_a_subject_without_rungs_has_its_own_start_alone(tmp_path: Path) -> None:
    rows, _ = run(plan_of([Toy()], [Ladder()]), tmp_path)
    assert {row.phase for row in rows} == {WHOLE}


def test_its_first_guess_of_a_trial_s_time_counts_all_rungs() -> None:
    left = TimeLeft([])
    one, three = (left.expected(Planned(Ladder(), toy, 0)) for toy in (Toy(), Changeable()))
    assert three == pytest.approx(3 * one)


def test_who_shows_it_calls_the_unchanged_start_the_same() -> None:
    assert WHOLE == WHOLE_SHOWN


@needs_cgroups
def test_a_container_s_rungs_all_start_and_its_steps_tell_their_times(
    workload: Workload, nothing_left: None, tmp_path: Path
) -> None:
    plan = plan_of([subjects.make("labrt")], [Ladder()])
    settings = replace(plan.settings, n=1)
    rows, _ = run(replace(plan, workload=workload, settings=settings), tmp_path)
    assert [(row.phase, row.reason) for row in rows if row.status == "failed"] == []
    mine = [row for row in rows if not row.warmup]
    assert {row.phase for row in mine if row.metric == "time"} == {WHOLE, *VARIANTS}
    told = {row.phase: row.value for row in mine if row.metric == "own time"}
    assert {"Clone", "MountOverlay", "PivotRoot", "LoadSeccomp"} <= set(told)


@needs_cgroups
@pytest.mark.parametrize("said", VARIANTS)
def test_each_rung_of_a_container_is_another_recipe(said: str, workload: Workload) -> None:
    def steps(**more: object) -> list[str]:
        wishes = {"hostname": "it", "memory": "256m", "cpus": 1} | more
        spec = declare(store.resolve(workload.image), (), given(**wishes))
        return [repr(step.describe()) for step in recipe(spec)]

    assert len(steps(**VARIANTS[said])) != len(steps()) or steps(**VARIANTS[said]) != steps()
