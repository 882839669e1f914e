"""How long a plan will take, before anything of it is started.

From earlier runs on this host, where there are any: a row bears the time at which it was written,
so the time between the last rows of two trials is what the second of them took. Otherwise from
each experiment's first guess.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Mapping
from itertools import groupby
from pathlib import Path
from statistics import median
from typing import Any

from bench import units, variants
from bench.experiments.base import Settings
from bench.observations import ROWS, read_all
from bench.plan import Plan, Planned, schedule
from bench.progress import TimeLeft
from bench.tables import Table
from labrt.errors import LabError

RUNS = 3  # so many of the latest runs are looked at

Known = Mapping[tuple[str, str, str], float]  # Planned.key → seconds of one trial


def history(results: Path, fingerprint: dict[str, Any], settings: Settings) -> Known:
    """Return what trials took in the latest runs on this host, with this accelerator, of this size.

    Args:
        results: the folder of all runs.
    """
    took: dict[tuple[str, str, str], list[float]] = {}
    folders = sorted({file.parent.resolve() for file in results.glob("*/host.json")}, reverse=True)
    alike = [folder for folder in folders if _alike(folder, fingerprint, settings)]
    for key, seconds in (pair for folder in alike[:RUNS] for pair in _durations(folder)):
        took.setdefault(key, []).append(seconds)
    return {key: median(each) for key, each in took.items()}


def _alike(folder: Path, fingerprint: dict[str, Any], settings: Settings) -> bool:
    try:
        found = json.loads((folder / "host.json").read_text())
        return bool(
            found["id"] == fingerprint["id"]
            and found["accelerator"]["accelerator"] == fingerprint["accelerator"]["accelerator"]
            and found["run"]["settings"]["quick"] == settings.quick
        )
    except (OSError, ValueError, KeyError, TypeError):
        return False  # no run, or one of another version


def _durations(folder: Path) -> Iterator[tuple[tuple[str, str, str], float]]:
    """Yield what each trial of a run took, but for the first of an attempt."""
    try:
        rows, _ = read_all(folder / ROWS)
    except LabError:
        return
    before: tuple[int, float] | None = None
    for _, group in groupby(rows, key=lambda row: (row.attempt, row.trial)):
        *_, last = group
        if before is not None and before[0] == last.attempt and not last.warmup:
            given = last.conditions
            label = variants.label(given, variants.unusual(given))
            yield (last.experiment, last.subject, label), last.at - before[1]
        before = last.attempt, last.at


def table(plan: Plan, known: Known) -> Table:
    """Return the plan, a line for each experiment and subject, with its estimated time."""
    planned = schedule(plan)
    each = TimeLeft(planned, known, plan.settings.round_seconds)
    shown = Table("What would be done", ["experiment", "subject", "trials", "each", "all", "from"])
    for trial, count in _kinds(plan, planned):
        seconds = each.expected(trial)
        shown.rows.append(
            [
                trial.experiment.name,
                ", ".join(filter(None, (trial.subject.name, trial.variant.label))),
                str(count),
                units.text(seconds, "s"),
                units.text(seconds * count, "s"),
                "earlier runs" if trial.key in known else "a first guess",
            ]
        )
    shown.notes = [_total(each.to_come(), each), *_missing(plan), "Nothing was started."]
    return shown


def _kinds(plan: Plan, planned: list[Planned]) -> list[tuple[Planned, int]]:
    """Return the first trial of each kind, and how many of its kind there are; not in the order of
    the rounds, which is a random one, but experiment by experiment."""
    counts = Counter(trial.key for trial in planned)
    kinds = [(trial, counts.pop(trial.key)) for trial in planned if trial.key in counts]
    order = {each: place for place, each in enumerate([*plan.experiments, *plan.subjects])}
    return sorted(kinds, key=lambda kind: (order[kind[0].experiment], order[kind[0].subject]))


def _total(done: list[Planned], each: TimeLeft) -> str:
    """Say how long all of it takes."""
    rounds = {trial.sample for trial in done if trial.experiment.repeats and trial.sample >= 0}
    told = f", with {len(rounds)} rounds" if rounds else ""
    return f"About {units.text(each.seconds(), 's')} in all{told}."


def _missing(plan: Plan) -> list[str]:
    reasons = ((subject, subject.unavailable()) for subject in plan.subjects)
    return [f"{subject.name} can't be measured here: {why}" for subject, why in reasons if why]
