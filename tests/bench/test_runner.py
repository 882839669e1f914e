"""bench/runner.py: what goes wrong becomes a row, the rest goes on, and nothing stays behind."""

from __future__ import annotations

import itertools
import time
from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest

from bench.course import GIVE_UP_AFTER, LEAST_ROUNDS
from bench.experiments.base import QUICK, Experiment, Settings
from bench.experiments.density import Density
from bench.experiments.startup import Startup
from bench.experiments.stop import Stop
from bench.interrupts import Interrupted
from bench.observations import Log, Observation, Unwritable, read
from bench.plan import Plan, Planned, schedule
from bench.runner import Runner
from bench.subjects.base import Instance, InstanceFailed, Subject, Workload
from bench.variants import Variant, crossed
from tests.bench.toy_subject import Toy, fails_at

SETTINGS = replace(QUICK, n=4, rest=0.0, count=5)


class Silent:
    """A progress that keeps the notes."""

    def __init__(self) -> None:
        self.notes: list[str] = []

    def begin(self, planned: list[Planned], limit: float | None = None) -> None: ...
    def doing(self, trial: Planned) -> None: ...
    def done(self, trial: Planned) -> None: ...

    def note(self, text: str) -> None:
        self.notes.append(text)


def plan_of(
    subjects: list[Subject],
    experiments: list[Experiment] | None = None,
    seed: int = 1,
    settings: Settings = SETTINGS,
) -> Plan:
    return Plan(
        run="test",
        subjects=subjects,
        experiments=experiments or [Startup()],
        workload=Workload("busybox", "sha256:" + "0" * 64),
        settings=settings,
        host="host",
        accelerator="tcg",
        seed=seed,
    )


def run(plan: Plan, folder: Path) -> tuple[list[Observation], list[str]]:
    progress = Silent()
    file = folder / "observations.jsonl"
    with Log(file) as log:
        Runner(plan, log, progress).run()
    rows, damage = read(file)
    assert damage == []
    return rows, progress.notes


def order(plan: Plan) -> list[tuple[str, str, int]]:
    planned = schedule(plan)
    return [(each.experiment.name, each.subject.name, each.sample) for each in planned]


# The order


def test_every_round_has_one_trial_of_each_subject_and_experiment() -> None:
    plan = plan_of([Toy("a"), Toy("b"), Toy("c")], [Startup(), Stop()])
    trials = order(plan)[3:]
    for number in range(4):
        one_round = trials[6 * number : 6 * number + 6]
        assert {sample for *_, sample in one_round} == {number}
        assert len(set(one_round)) == 6


def test_the_order_is_random_and_the_seed_gives_it_again() -> None:
    subjects: list[Subject] = [Toy(name) for name in "abcd"]
    orders = [order(plan_of(subjects, [Startup(), Stop()], seed)) for seed in (1, 1, 2)]
    assert orders[0] == orders[1]
    assert orders[0] != orders[2]


def test_a_round_has_every_variant_in_turns_and_an_experiment_only_those_that_differ_to_it() -> (
    None
):
    plan = replace(
        plan_of([Toy("a"), Toy("b")], [Startup(), Density()]),
        variants=tuple(crossed(caches=["warm", "cold"], parallel=[1, 4])),
    )
    planned = schedule(plan)
    warm_ups, first = planned[:2], planned[2:10]
    assert [(each.subject.name, each.variant.label) for each in warm_ups] == [("a", ""), ("b", "")]
    assert {each.variant.label for each in first} == {"", "cold", "4 at once", "cold, 4 at once"}
    assert len({each.key for each in first}) == 8
    ramps = [each for each in planned if each.experiment.name == "density"]
    assert sorted(each.variant.label for each in ramps) == ["", "", "cold", "cold"]


def test_conditions_and_limits_reach_the_instance_and_its_rows(tmp_path: Path) -> None:
    class Noting(Toy):
        def start(self, workload: Workload, name: str) -> Instance:
            seen.add((workload.cpus, workload.memory, workload.io))
            return super().start(workload, name)

    seen: set[tuple[float, int, int | None]] = set()
    variant = Variant(cpus=2.0, memory=2**26, io=2**20)
    rows, _ = run(replace(plan_of([Noting()]), variants=(variant,)), tmp_path)
    assert seen == {(2.0, 2**26, 2**20)}
    for row in rows:
        given = {key: row.conditions[key] for key in ("cpus", "memory", "io", "caches", "parallel")}
        assert given == {
            "cpus": 2.0, "memory": 2**26, "io": 2**20, "caches": "warm", "parallel": 1
        }  # fmt: skip


def test_so_many_start_or_stop_at_once_and_each_is_a_sample(tmp_path: Path) -> None:
    toy = Toy()
    plan = replace(plan_of([toy], [Startup(), Stop()]), variants=(Variant(parallel=3),))
    rows, _ = run(plan, tmp_path)
    for phase in ("T0-T3", "stop"):
        samples = [row.sample for row in rows if row.phase == phase and not row.warmup]
        assert sorted(samples) == list(range(12))
    assert toy.started == (1 + 4 + 4) * 3
    assert toy.alive == {}


def test_of_those_started_at_once_one_may_fail(tmp_path: Path) -> None:
    asked = itertools.count()

    def each_third(at: str) -> None:
        if at == "start" and next(asked) % 3 == 2:
            raise InstanceFailed("the third")

    plan = replace(plan_of([Toy(fault=each_third)]), variants=(Variant(parallel=3),))
    rows, _ = run(plan, tmp_path)
    totals = Counter(row.status for row in rows if row.phase == "T0-T3" and not row.warmup)
    assert totals == {"ok": 8, "failed": 4}


def test_each_subject_is_warmed_up_once_before_anything_counts() -> None:
    trials = order(plan_of([Toy("a"), Toy("b")], [Density(), Startup()]))
    assert [trial[1:] for trial in trials[:2]] == [("a", -1), ("b", -1)]
    assert all(sample >= 0 for *_, sample in trials[2:])


def test_the_warm_up_is_in_the_file_and_marked(tmp_path: Path) -> None:
    rows, _ = run(plan_of([Toy()]), tmp_path)
    assert Counter(row.warmup for row in rows if row.phase == "T0-T3") == {True: 1, False: 4}


def test_every_row_says_under_which_conditions_it_was_taken(tmp_path: Path) -> None:
    rows, _ = run(plan_of([Toy()], seed=7), tmp_path)
    for row in rows:
        for key in ("digest", "cpus", "memory", "workload", "accelerator", "host", "machine"):
            assert row.conditions[key] is not None
        assert row.conditions["seed"] == 7
    assert sorted({row.conditions["order"] for row in rows}) == [0, 1, 2, 3, 4]


class Slow(Toy):
    """Takes its time to start."""

    def start(self, workload: Workload, name: str) -> Instance:
        time.sleep(0.02)
        return super().start(workload, name)


def test_who_lacks_what_an_experiment_wants_is_a_row_with_the_reason(tmp_path: Path) -> None:
    class Lacking(Toy):
        def lacks(self, workload: Workload) -> str | None:
            return f"no scratch of {workload.scratch}"

    class Wanting(Startup):
        def workload(self, asked: Workload) -> Workload:
            return replace(asked, scratch=7)

    rows, notes = run(plan_of([Lacking("lacking"), Toy("able")], [Wanting()]), tmp_path)
    assert {row.subject for row in rows if row.phase != "prepare"} == {"able"}
    (failed,) = (row for row in rows if row.status == "failed")
    assert (failed.subject, failed.reason) == ("lacking", "no scratch of 7")
    assert notes == ["lacking can't be measured: no scratch of 7"]
    assert {row.conditions["scratch"] for row in rows if row.status == "ok"} == {7}


def test_nothing_is_started_that_the_disk_has_no_room_for(tmp_path: Path) -> None:
    class Counting(Toy):
        starts = 0

        def start(self, workload: Workload, name: str) -> Instance:
            Counting.starts += 1
            return super().start(workload, name)

    settings = replace(SETTINGS, disk_reserve=2**62)
    rows, _ = run(plan_of([Counting("toy")], settings=settings), tmp_path)
    assert Counting.starts == 0
    assert {row.status for row in rows} == {"failed"}
    assert "its reserve of" in rows[0].reason


def test_a_slow_host_gets_fewer_rounds_but_whole_ones_and_never_less_than_three(
    tmp_path: Path,
) -> None:
    settings = replace(SETTINGS, n=50, round_seconds=0.0)
    plan = plan_of([Slow("slow"), Toy("quick")], [Startup(), Stop()], settings=settings)
    rows, notes = run(plan, tmp_path)
    counted = Counter(
        (row.subject, row.experiment) for row in rows if row.phase in ("T0-T3", "stop")
    )
    warm_ups = {("slow", "startup"), ("quick", "startup")}
    assert {key: n - (key in warm_ups) for key, n in counted.items()} == {
        (subject, experiment): LEAST_ROUNDS
        for subject in ("slow", "quick")
        for experiment in ("startup", "stop")
    }
    assert "--full" in notes[0]


# Faults


@pytest.mark.parametrize("place", ["start", "ready"])
def test_a_start_that_fails_is_a_row_with_its_reason(tmp_path: Path, place: str) -> None:
    rows, _ = run(plan_of([Toy(fault=fails_at(place))]), tmp_path)
    assert {row.status for row in rows} == {"failed"}
    assert all(row.reason.startswith(f"told to fail at {place}") for row in rows)


def test_a_stop_that_fails_is_a_row_and_the_instance_is_destroyed(tmp_path: Path) -> None:
    toy = Toy(fault=fails_at("stop"))
    rows, _ = run(plan_of([toy], [Stop()]), tmp_path)
    assert {(row.phase, row.status) for row in rows} == {("stop", "failed")}
    assert toy.alive == {}


def test_a_subject_that_breaks_hinders_no_other(tmp_path: Path) -> None:
    broken = Toy("broken", fails_at("ready", with_=ZeroDivisionError))
    rows, _ = run(plan_of([broken, Toy("sound")]), tmp_path)
    mine = [row for row in rows if row.subject == "broken"]
    assert {row.status for row in mine} == {"failed"}
    assert mine[0].reason.startswith("ZeroDivisionError")
    sound = [row for row in rows if row.subject == "sound" and row.phase == "T0-T3"]
    assert [row.status for row in sound] == ["ok"] * 5


def test_a_subject_is_prepared_once_for_what_several_experiments_run(tmp_path: Path) -> None:
    asked: list[str] = []
    toy = Toy(fault=asked.append)
    variants = (Variant(parallel=1), Variant(parallel=2))
    run(replace(plan_of([toy], [Startup(), Stop()]), variants=variants), tmp_path)
    assert asked.count("prepare") == 1
    (tmp_path / "other").mkdir()
    run(replace(plan_of([toy]), variants=(*variants, Variant(memory=2**26))), tmp_path / "other")
    assert asked.count("prepare") == 3


def test_a_subject_that_cannot_be_prepared_is_a_row_and_is_closed(tmp_path: Path) -> None:
    broken = Toy("broken", fails_at("prepare", with_=OSError))
    rows, notes = run(plan_of([broken, Toy("sound")]), tmp_path)
    assert [(row.experiment, row.status) for row in rows if row.subject == "broken"] == [
        ("prepare", "failed")
    ]
    assert broken.closed
    assert "told to fail at prepare" in notes[0]
    assert any(row.subject == "sound" for row in rows)


def test_a_subject_that_always_fails_is_given_up_and_the_row_says_so(tmp_path: Path) -> None:
    toy = Toy(fault=fails_at("ready"))
    rows, _ = run(plan_of([toy], settings=replace(SETTINGS, n=20)), tmp_path)
    assert toy.started == len(rows) == GIVE_UP_AFTER
    assert f"{20 + 1 - GIVE_UP_AFTER} more trials not tried" in rows[-1].reason


def test_failures_apart_are_not_given_up(tmp_path: Path) -> None:
    asked = iter(range(1000))

    def every_other(at: str) -> None:
        if at == "ready" and next(asked) % 2:
            raise OSError("every other time")

    rows, _ = run(plan_of([Toy(fault=every_other)], settings=replace(SETTINGS, n=20)), tmp_path)
    totals = [row for row in rows if row.phase == "T0-T3"]
    assert Counter(row.status for row in totals) == {"ok": 11, "failed": 10}


def test_one_instance_that_cannot_be_destroyed_keeps_no_other_alive(tmp_path: Path) -> None:
    toy = Toy(fault=fails_at("destroy", with_=OSError))
    rows, _ = run(plan_of([toy], [Density()]), tmp_path)
    assert toy.started == 5
    assert toy.alive == {}
    assert [row.status for row in rows][-1] == "failed"


def test_results_that_cannot_be_kept_end_the_run_and_all_is_taken_down() -> None:
    toy = Toy()
    with Log(Path("/dev/full")) as log, pytest.raises(Unwritable):
        Runner(plan_of([toy]), log, Silent()).run()
    assert toy.alive == {}
    assert toy.closed


def test_an_interruption_takes_everything_down_and_keeps_the_rows(tmp_path: Path) -> None:
    toy = Toy()

    def interrupt(at: str) -> None:
        if at == "ready" and len(toy.alive) == 3:
            raise Interrupted(2)

    toy.fault = interrupt
    file = tmp_path / "rows"
    with Log(file) as log, pytest.raises(Interrupted):
        Runner(plan_of([toy], [Density()]), log, Silent()).run()
    assert toy.alive == {}
    assert toy.closed
    assert [row.sample for row in read(file)[0] if row.phase == "T0-T3"] == [0, 1]
