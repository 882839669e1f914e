"""What a worker can be asked for: its side of `bench.cluster.fleet`.

Plain data comes in and goes out, JSON types only. The worker serves one run at a time: what a bench
that was killed has left open is closed when the next one begins.
"""

from __future__ import annotations

import secrets
import threading
import time
from dataclasses import asdict, dataclass, field
from typing import Any

from bench import accelerator, experiments, host, own_cost, subjects, variant_checks
from bench.experiments.base import Settings, idle
from bench.observations import Observation
from bench.place import Place
from bench.plan import Plan, Planned
from bench.subjects.base import Workload
from bench.variants import Variant
from labrt.errors import LabError

OWN_COST_SAMPLES = 50


@dataclass
class Serving:
    """The run that this worker takes part in."""

    plan: Plan
    place: Place
    rows: list[Observation] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


_fingerprint: dict[str, Any] = {}
_serving: Serving | None = None
_busy = threading.Lock()  # held by whoever starts or ends instances


def introduce(name: str | None) -> dict[str, Any]:
    """Return this host's fingerprint, with the "worker" that it is."""
    found = host.fingerprint(accelerator.told())
    _fingerprint.update(found | {"worker": name or f"{found['id'][:6]}-{secrets.token_hex(2)}"})
    return _fingerprint


def hello() -> dict[str, Any]:
    """Return the fingerprint as it is now, and what measuring costs here."""
    introduce(_fingerprint["worker"])
    cost = own_cost.measure(OWN_COST_SAMPLES, own_cost.WAITING, seconds=0.5)
    return _fingerprint | {"own_cost": cost}


def clock() -> float:
    """Return this host's Unix time, seconds."""
    return time.time()


def begin(run: dict[str, Any]) -> dict[str, Any]:
    """Make ready for a run.

    Args:
        run: as `bench.resume.described`, as far as it is for this host, with "trials": (experiment,
            subject, sample, variant) of those that it may be asked for.

    Returns:
        "stamps": (experiment, subject, what their rows are stamped with) of those that can be
        measured; "rows" of the others; "notes"; or "error": why this host can't take part.
    """
    global _serving
    close()
    try:
        plan = _plan(run)
    except LabError as error:
        return {"error": str(error)}
    rows: list[Observation] = []
    notes: list[str] = []
    also = {"worker": _fingerprint["worker"], "through": "worker"}
    _serving = Serving(plan, Place(plan, rows.append, notes.append, also=also), rows, notes)
    with _busy:
        _serving.place.open([_planned(plan, each) for each in run["trials"]])
    stamps = [[*key, value] for key, value in _serving.place.stamps().items()]
    return _drained(_serving) | {"stamps": stamps}


def trial(
    run: str,
    what: list[Any],
    position: int,
    begin_at: float | None = None,
    also: dict[str, Any] | None = None,
    settings: dict[str, Any] | None = None,
) -> dict[str, Any]:
    """Do one trial.

    Args:
        run: its name.
        what: (experiment, subject, sample, variant).
        begin_at: Unix time of this host before which it isn't begun: all hosts begin together.
        also: stamped on its rows.
        settings: this host's share, where that isn't what the run's settings say.

    Returns:
        "rows"; "failed": the row of a trial that failed as a whole, else None; "notes".

    Raises:
        LabError: this worker doesn't take part in the run.
    """
    serving = _serving
    if serving is None or serving.plan.run != run:
        raise LabError(f"do a trial of {run}", "this worker takes part in another run")
    stamps = dict(also or {})
    if begin_at is not None:
        idle(max(0.0, begin_at - time.time()))
        stamps["late"] = round(max(0.0, time.time() - begin_at), 6)
    with _busy:
        share = Settings(**settings) if settings else None
        failed = serving.place.do(_planned(serving.plan, what), position, share, **stamps)
    return _drained(serving) | {"failed": asdict(failed) if failed else None}


def end(run: str) -> dict[str, Any]:
    """Close what a run has opened."""
    serving = _serving
    if serving is None or serving.plan.run != run:
        return {"rows": [], "notes": []}
    close()
    return _drained(serving)


def give_up() -> None:
    """Make the trial under way end soon. From any thread."""
    if serving := _serving:
        serving.place.give_up()


def close() -> None:
    """Close whatever is open, once the trial under way has ended."""
    global _serving
    if _serving is not None:
        give_up()
        with _busy:
            _serving.place.__exit__()
        _serving = None


def _drained(serving: Serving) -> dict[str, Any]:
    """Return the rows and notes since the last time; each is told once."""
    rows, notes = [asdict(row) for row in serving.rows], list(serving.notes)
    serving.rows.clear()
    serving.notes.clear()
    return {"rows": rows, "notes": notes}


def _plan(run: dict[str, Any]) -> Plan:
    """Return a run's plan for this host.

    Raises:
        LabError: it isn't the same lab or image, or can't do that.
    """
    lab = _fingerprint["versions"]["lab"]
    if lab != run["lab"]:
        raise LabError(
            f"take part in {run['run']}",
            f"the lab's version here is {lab}, the bench's {run['lab']}",
            "they might not measure the same",
            "put the same one on every host",
        )
    plan = Plan(
        run=run["run"],
        subjects=[subjects.make(name, connection=run["connection"]) for name in run["subjects"]],
        experiments=[experiments.make(name) for name in run["experiments"]],
        workload=_workload(run),
        settings=Settings(**run["settings"]),
        host=_fingerprint["id"],
        accelerator=_fingerprint["accelerator"]["accelerator"],
        seed=run["seed"],
        variants=tuple(Variant(**each) for each in run["variants"]),
    )
    variant_checks.check(plan.variants, plan.subjects, plan.experiments)
    return plan


def _workload(run: dict[str, Any]) -> Workload:
    """Return what instances run.

    Raises:
        LabError: the image isn't there, or is another.
    """
    from labrt.images import store

    asked = run["workload"]
    image = store.resolve(asked["image"])
    if image.digest != asked["digest"]:
        raise LabError(
            f"run the image {asked['image']} of {run['run']}",
            f"its digest here is {image.digest}, the bench's {asked['digest']}",
            "made of other files: another release of busybox is enough",
            f"./lab labrt save {asked['image']} there, ./lab labrt load here",
        )
    return Workload(image=image.name, digest=image.digest)


def _planned(plan: Plan, what: list[Any]) -> Planned:
    experiment, subject, sample, variant = what
    return Planned(
        next(each for each in plan.experiments if each.name == experiment),
        next(each for each in plan.subjects if each.name == subject),
        sample,
        Variant(**variant),
    )
