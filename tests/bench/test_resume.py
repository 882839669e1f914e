"""bench/resume.py: an interrupted run goes on; nothing is lost, nothing counts twice."""

from __future__ import annotations

import json
import signal
import subprocess
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from bench import clean, resume
from bench.experiments.base import Experiment
from bench.experiments.density import Density
from bench.experiments.startup import Startup
from bench.experiments.stop import Stop
from bench.interrupts import Interrupted
from bench.observations import ROWS, Log, Observation, Unwritable, read, read_all
from bench.plan import Plan, schedule
from bench.run import DEFAULT_SUBJECTS, _request
from bench.runner import Runner
from bench.subjects.base import Workload
from bench.variants import crossed
from labrt.errors import LabError
from tests.bench.conftest import needs_cgroups
from tests.bench.test_main import BENCH, bench, one_line
from tests.bench.test_runner import Silent, plan_of
from tests.bench.toy_subject import Toy

Row = Callable[..., Observation]


def dies_after(starts: int) -> Callable[[str], None]:
    """A fault that ends the run when so many instances have become ready."""
    seen = iter(range(starts))

    def fault(at: str) -> None:
        if at == "ready" and next(seen, None) is None:
            raise Interrupted(2)

    return fault


def attempt(plan: Plan, file: Path, toys: list[Toy]) -> bool:
    """Go on with a plan as far as the toys let it; True if it came to its end."""
    rows = read_all(file)[0] if file.exists() else []
    done = resume.finished(rows, whole=False)
    number = max((row.attempt + 1 for row in rows), default=0)
    plan = replace(plan, subjects=list(toys), done=done, attempt=number)
    try:
        with Log(file) as log:
            Runner(plan, log, Silent()).run()
    except Interrupted:
        return False
    return True


def counted(rows: list[Observation]) -> Counter[tuple[Any, ...]]:
    return Counter(
        (row.subject, row.experiment, row.phase, row.metric, row.sample)
        for row in rows
        if not row.warmup
    )


@pytest.mark.parametrize("starts", range(0, 16))
def test_wherever_it_is_interrupted_every_planned_sample_is_there_once(
    tmp_path: Path, starts: int
) -> None:
    experiments: list[Experiment] = [Startup(), Stop(), Density()]
    plan = plan_of([Toy("a"), Toy("b")], experiments)
    uninterrupted = tmp_path / "whole"
    assert attempt(plan, uninterrupted, [Toy("a"), Toy("b")])
    file = tmp_path / "rows"
    for more in (0, 3):
        attempt(plan, file, [Toy("a", dies_after(starts)), Toy("b", dies_after(starts + more))])
    assert attempt(plan, file, [Toy("a"), Toy("b")])
    assert counted(read(file)[0]) == counted(read(uninterrupted)[0])


def test_what_was_finished_is_not_done_again(tmp_path: Path) -> None:
    plan = plan_of([Toy("a")])
    file = tmp_path / "rows"
    assert not attempt(plan, file, [Toy("a", dies_after(3))])
    toy = Toy("a")
    assert attempt(plan, file, [toy])
    # Of the warm-up and four samples, three were seen; the last of these may have been unfinished.
    assert toy.started == 1 + 3


def test_a_run_that_came_to_its_end_has_nothing_left(tmp_path: Path) -> None:
    plan = plan_of([Toy("a")])
    assert attempt(plan, tmp_path / "rows", [Toy("a")])
    rows, _ = read_all(tmp_path / "rows")
    assert resume.finished(rows, whole=True) == frozenset(range(len(schedule(plan))))


def test_what_a_subject_that_could_not_be_prepared_owes_is_done_later(tmp_path: Path) -> None:
    from tests.bench.toy_subject import fails_at

    plan = plan_of([Toy("a"), Toy("b")])
    file = tmp_path / "rows"
    assert attempt(plan, file, [Toy("a"), Toy("b", fails_at("prepare"))])
    assert attempt(plan, file, [Toy("a"), Toy("b")])
    samples = Counter(
        row.subject for row in read(file)[0] if row.phase == "T0-T3" and not row.warmup
    )
    assert samples == {"a": 4, "b": 4}


def test_two_processes_never_write_the_same_rows(tmp_path: Path) -> None:
    with Log(tmp_path / ROWS), pytest.raises(Unwritable, match="another process is writing"):
        Log(tmp_path / ROWS)


@pytest.mark.parametrize("key", ["host", "accelerator", "workload", "settings", "seed", "trials"])
def test_a_run_that_is_not_what_it_was_is_refused_by_name(tmp_path: Path, key: str) -> None:
    plan = plan_of([Toy("a")])
    resume.save(tmp_path, plan, None)
    kept = resume.read(tmp_path)
    resume.check_same(kept, resume.described(plan, None))
    with pytest.raises(LabError, match=f"its {key} isn't what it was"):
        resume.check_same(kept | {key: "another"}, resume.described(plan, None))


# As users meet it


SMALL = ("--subjects", "process", "--experiments", "startup", "--n", "400")


@needs_cgroups
def test_a_killed_run_goes_on_where_it_was(workload: Workload, tmp_path: Path) -> None:
    running = subprocess.Popen([*BENCH, *SMALL, "--out", str(tmp_path)], stderr=subprocess.DEVNULL)
    rows = tmp_path / "latest" / ROWS
    deadline = time.monotonic() + 30
    while not (rows.exists() and rows.read_bytes().count(b"\n") >= 200):
        assert time.monotonic() < deadline
        time.sleep(0.02)
    running.send_signal(signal.SIGKILL)
    running.wait()
    seen = rows.read_bytes()
    assert seen.count(b"\n") < 1600
    done = bench("--resume", tmp_path / "latest")
    assert done.returncode == 0, done.stderr
    assert rows.read_bytes().startswith(seen)
    totals = [row for row in read(rows)[0] if row.phase == "T0-T3" and not row.warmup]
    assert sorted(row.sample for row in totals) == list(range(400))
    host = json.loads((rows.parent / "host.json").read_text())
    assert host["run"]["finished"]
    assert len(host["run"]["resumed"]) == 1
    assert all("/lab-process-" in what for what in clean.groups())  # of the instance it had then


@needs_cgroups
def test_a_plan_is_shown_and_nothing_is_started(workload: Workload, tmp_path: Path) -> None:
    done = bench(*SMALL, "--out", tmp_path, "--dry-run")
    assert done.returncode == 0, done.stderr
    assert "Nothing was started" in done.stdout
    assert "401" in done.stdout
    assert list(tmp_path.iterdir()) == []


def test_what_a_run_varies_is_in_its_plan_and_must_stay(tmp_path: Path) -> None:
    variants = tuple(crossed(caches=["warm", "cold"], parallel=[2]))
    plan = replace(plan_of([Toy("a")]), variants=variants)
    resume.save(tmp_path, plan, None)
    kept = resume.read(tmp_path)
    assert tuple(_request(kept, tmp_path / "run").variants) == variants
    resume.check_same(kept, resume.described(plan, None))
    warm = replace(plan, variants=variants[:1])
    with pytest.raises(LabError, match="its (variants|trials) isn't what it was"):
        resume.check_same(kept, resume.described(warm, None))


@pytest.mark.parametrize(
    ("damage", "arguments", "said"),
    [
        (lambda folder: (folder / resume.FILE).unlink(), [], "ENOENT"),
        (lambda folder: (folder / resume.FILE).write_text("{"), [], "plan.json"),
        (lambda folder: (folder / resume.FILE).write_text('{"schema": 9}'), [], "schema 9"),
        (lambda folder: (folder / resume.FILE).write_text('{"schema": 2}'), [], "damaged"),
        (lambda folder: None, ["--n", "5"], "--n is given, too"),
        (lambda folder: None, ["--dry-run"], "--dry-run is given, too"),
    ],
)
def test_what_cannot_be_resumed_is_one_line(
    tmp_path: Path,
    workload: Workload,
    damage: Callable[[Path], object],
    arguments: list[str],
    said: str,
) -> None:
    resume.save(tmp_path, plan_of([Toy("a")]), None)
    (tmp_path / "host.json").write_text('{"run": {}}')
    damage(tmp_path)
    done = bench("--resume", tmp_path, *arguments)
    assert done.returncode == 1
    assert said in one_line(done)


def test_subjects_that_nobody_asked_for_by_name_are_not_asked_for_by_a_resumed_run(
    tmp_path: Path,
) -> None:
    """A default VM that can't run here is a failed row, then as now; it is no reason to refuse."""
    kept = resume.described(plan_of([Toy(name) for name in DEFAULT_SUBJECTS]), None)
    assert _request(kept, tmp_path).subjects is None
    named = resume.described(plan_of([Toy("labrt")]), None)
    assert _request(named, tmp_path).subjects == ["labrt"]
