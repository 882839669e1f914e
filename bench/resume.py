"""The plan of a run as a file, so that an interrupted run can be gone on with.

plan.json holds what was asked for and every trial in its order. A trial is known by its position in
that order, which its rows bear. Trials are done one after the other, so those that have rows are
finished, but for the last one of an attempt: it is done again, as part of the next attempt, and
`observations.read` leaves out the rows that it had. So nothing is lost and nothing counts twice.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from bench.observations import Observation
from bench.plan import Plan, schedule
from labrt.errors import LabError, errno_text

FILE = "plan.json"
SCHEMA = 2


def save(folder: Path, plan: Plan, connection: str | None) -> None:
    """Write a run's plan.

    Raises:
        LabError: it can't be written.
    """
    path = folder / FILE
    try:
        path.write_text(json.dumps(described(plan, connection)) + "\n")
    except OSError as error:
        raise LabError(f"write {path}", errno_text(error), remedy="free some room") from error


def described(plan: Plan, connection: str | None) -> dict[str, Any]:
    """Return what a run is, in JSON types."""
    return {
        "schema": SCHEMA,
        "run": plan.run,
        "subjects": [subject.name for subject in plan.subjects],
        "experiments": [experiment.name for experiment in plan.experiments],
        "connection": connection,
        "workload": asdict(plan.workload) | {"command": list(plan.workload.command)},
        "settings": asdict(plan.settings),
        "variants": [asdict(variant) for variant in plan.variants],
        "host": plan.host,
        "accelerator": plan.accelerator,
        "seed": plan.seed,
        "trials": [[*trial.key, trial.sample] for trial in schedule(plan)],
    }


def read(folder: Path) -> dict[str, Any]:
    """Return a run's plan.

    Raises:
        LabError: there is none, or not one of this version.
    """
    path = folder / FILE
    try:
        found: dict[str, Any] = json.loads(path.read_text())
        if found["schema"] != SCHEMA:
            raise ValueError(f"schema {found['schema']}, this lab reads {SCHEMA}")
    except (OSError, ValueError, KeyError, TypeError) as error:
        answer = errno_text(error) if isinstance(error, OSError) else str(error)
        remedy = "name the folder of a run that has one, or measure anew"
        raise LabError(f"read {path}", answer, remedy=remedy) from error
    return found


def check_same(kept: dict[str, Any], now: dict[str, Any]) -> None:
    """Let a run be gone on with if it still is what it was.

    Raises:
        LabError: the host, the image, … or the order of the trials isn't what it was.
    """
    for key in kept.keys() | now.keys():
        if kept.get(key) != now.get(key):
            was, is_now = (f": {each.get(key)}" for each in (kept, now))
            shown = "" if key == "trials" else f"{was}, now{is_now}"
            raise LabError(
                f"resume the run {kept.get('run')}",
                f"its {key} isn't what it was{shown}",
                "rows taken before and after could not be compared",
                "measure anew, without --resume",
            )


def finished(rows: Sequence[Observation], whole: bool) -> frozenset[int]:
    """Return the positions of the trials that are done.

    Args:
        rows: as they stand in the file, superseded ones included.
        whole: the last attempt came to its end, so its last trial is done, too.
    """
    positions: dict[int, list[int]] = {}
    for row in rows:
        positions.setdefault(row.attempt, []).append(row.conditions.get("order", -1))
    done: set[int] = set()
    for attempt, orders in positions.items():
        last = orders[-1] if not whole or attempt < max(positions) else -1
        done |= {order for order in orders if order not in (-1, last)}
    return frozenset(done)
