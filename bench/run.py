"""One run from what the user asks for to a folder with rows, pictures and report.

results/RUN/
    plan.json            what was asked for, and every trial in its order
    host.json            the machine's fingerprint, and the run's own facts under "run"
    observations.jsonl   one row per sample, failures included
    startup.png …        pictures of the rows
    report.html          all of it in one file
"""

from __future__ import annotations

import json
import os
import random
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bench import (
    accelerator,
    interrupts,
    meminfo,
    own_cost,
    resume,
    statistics,
    subjects,
    variant_checks,
)
from bench.experiments.base import Settings, Waiting
from bench.observations import ROWS, Log, Observation, read, read_all, told
from bench.plan import Plan
from bench.runner import Runner
from bench.subjects.base import Subject, Workload
from bench.variants import Variant
from labrt import paths
from labrt.errors import LabError, errno_text

if TYPE_CHECKING:
    from bench.cluster.access import Access
    from bench.experiments.base import Experiment
    from bench.progress import Reporter
    from labrt.images.store import Image

DEFAULT_SUBJECTS = ("process", "labrt", "vm")
DEFAULT_EXPERIMENTS = ("startup", "stop", "memory", "density")
HOST = "host.json"
OWN_COST_SAMPLES = 50  # in every run; python -m bench.own_cost takes more


@dataclass(frozen=True)
class Request:
    """What the user asks for. None: the default.

    Attributes:
        connection: libvirt URI for the subjects that take one.
        variants: the conditions that it varies.
        seed: of the order of trials; None draws one, which the rows record.
        out: the folder that gets the run's folder.
        cluster: where the workers of a fleet are met; None: this host measures.
    """

    subjects: Sequence[str] | None
    experiments: Sequence[str] | None
    image: str
    connection: str | None
    settings: Settings
    seed: int | None
    out: Path
    variants: Sequence[Variant] = (Variant(),)
    cluster: Access | None = None


def compare(
    request: Request, make: Callable[..., Subject] = subjects.make
) -> tuple[Path, interrupts.Interrupted | None]:
    """Do a run; return its folder, and the interruption if one ended it early.

    Args:
        make: returns a subject by its name, with those of the options that it takes.

    Raises:
        LabError: it can't be done here, or the results can't be written.
        bench.interrupts.Interrupted: interrupted before anything was measured.
    """
    if request.cluster:
        return over_fleet(request, request.cluster)
    plan, fingerprint = prepare(request, make=make)
    folder = make_folder(request.out, plan.run)
    resume.save(folder, plan, request.connection)
    return folder, carry_out(fingerprint, folder, here(plan))


def over_fleet(request: Request, access: Access) -> tuple[Path, interrupts.Interrupted | None]:
    """Do a run on the hosts of a fleet; otherwise as `compare`.

    Raises:
        LabError: no host can take part, or the scheduler isn't there or went away.
    """
    from bench.cluster.fleet import Fleet
    from bench.cluster.fleet_runner import FleetRunner

    with Fleet(access) as fleet:
        plan, fingerprint = prepare_fleet(request, [host.fingerprint for host in fleet.hosts])
        folder = make_folder(request.out, plan.run)
        resume.save(folder, plan, request.connection)

        def measure(log: Log, progress: Reporter) -> None:
            FleetRunner(plan, log, progress, fleet, request.connection).run()

        return folder, carry_out(fingerprint, folder, measure)


def go_on(folder: Path) -> tuple[Path, interrupts.Interrupted | None]:
    """Do what an interrupted run has left undone; otherwise as `compare`.

    Raises:
        LabError: it has no plan, or isn't what it was: another host, another image, …
    """
    folder = folder.resolve()  # "latest" may point elsewhere soon
    kept, fingerprint = resume.read(folder), read_host(folder)
    if "hosts" in fingerprint:
        raise LabError(
            f"resume {folder}",
            "it was measured over a fleet",
            "its trials were done beside each other, on hosts that may be others today",
            "measure anew",
        )
    plan, now = prepare(_request(kept, folder))
    resume.check_same(kept, resume.described(replace(plan, run=kept["run"]), kept["connection"]))
    rows, _ = read_all(folder / ROWS)
    run = fingerprint["run"]
    plan = replace(
        plan,
        run=kept["run"],
        done=resume.finished(rows, whole=run.get("finished", False)),
        attempt=max((row.attempt + 1 for row in rows), default=0),
    )
    when = f"{now['taken_at']} by the lab's version {now['versions']['lab']}"
    run["resumed"] = [*run.get("resumed", []), when]
    return folder, carry_out(fingerprint, folder, here(plan))


def _request(kept: dict[str, Any], folder: Path) -> Request:
    """Return what was asked for when a plan was made.

    Raises:
        LabError: the file is damaged.
    """
    try:
        default = kept["subjects"] == list(DEFAULT_SUBJECTS)  # then a VM may be unavailable
        return Request(
            subjects=None if default else kept["subjects"],
            experiments=kept["experiments"],
            image=kept["workload"]["image"],
            connection=kept["connection"],
            settings=Settings(**kept["settings"]),
            seed=kept["seed"],
            out=folder.parent,
            variants=[Variant(**each) for each in kept["variants"]],
        )
    except (KeyError, TypeError) as error:
        raise LabError(
            f"read {folder / resume.FILE}", str(error), "it is damaged or of another version"
        ) from error


# Does a plan's trials; returns what waiting for instances took of this host, if it was this host.
Measure = Callable[[Log, "Reporter"], Waiting | None]


def here(plan: Plan) -> Measure:
    """Return what does a plan on this host."""

    def measure(log: Log, progress: Reporter) -> Waiting:
        runner = Runner(plan, log, progress)
        runner.run()
        return runner.waiting

    return measure


def carry_out(
    fingerprint: dict[str, Any], folder: Path, measure: Measure
) -> interrupts.Interrupted | None:
    """Do a plan's trials; return the interruption if one ended it early.

    Raises:
        LabError: the results can't be written.
    """
    from rich.console import Console

    from bench.progress import Reporter

    facts = fingerprint["run"]
    facts.pop("ended_early", None)
    facts["finished"] = False
    ended = None
    try:
        with Log(folder / ROWS) as log, Reporter(Console(stderr=True)) as progress:
            save_host(folder, fingerprint)
            waiting = measure(log, progress)
        facts["finished"] = True
        if waiting is not None:
            own = own_cost.measure(OWN_COST_SAMPLES, own_cost.WAITING, seconds=0.5)
            share = waiting.cpu / max(waiting.elapsed, 1e-9)
            facts["own_cost"] = own | {"run_cpu": share, "run_memory": meminfo.own_peak()}
    except interrupts.Interrupted as interrupted:
        ended = interrupted
        facts["ended_early"] = f"interrupted by {interrupted}"
    finally:
        give_to_caller(folder)
    save_host(folder, fingerprint)
    return ended


def prepare(
    request: Request, qualify: bool = True, make: Callable[..., Subject] = subjects.make
) -> tuple[Plan, dict[str, Any]]:
    """Check everything that can be checked before anything starts; return plan and fingerprint.

    Args:
        make: as `compare`.
        qualify: may start a guest to learn whether KVM serves, where that isn't known yet.

    Raises:
        LabError: an unknown subject, experiment or image; a subject that can't run here.
    """
    from bench import host

    chosen, questions, image = _asked(request, make)
    for subject in chosen:
        check_available(subject, asked_for=request.subjects is not None)
    variant_checks.check(request.variants, chosen, questions)
    fingerprint = host.fingerprint(accelerator.told(qualify))
    plan = _plan(request, chosen, questions, image, fingerprint)
    return plan, fingerprint | {"run": _facts(plan)}


def prepare_fleet(
    request: Request, fingerprints: list[dict[str, Any]]
) -> tuple[Plan, dict[str, Any]]:
    """Return the plan of a run over a fleet, and the fleet's fingerprint. Whether a host can do it,
    its worker says.

    Raises:
        LabError: an unknown subject, experiment or image.
    """
    none = {"accelerator": "none", "reason": "each host has its own", "module": None}
    fleet = {"id": "fleet", "accelerator": none, "hosts": fingerprints}
    plan = _plan(request, *_asked(request, subjects.make), fleet)
    return plan, fleet | {"run": _facts(plan)}


def _asked(
    request: Request, make: Callable[..., Subject]
) -> tuple[list[Subject], list[Experiment], Image]:
    """Return subjects, experiments and image.

    Raises:
        LabError: there is none of that name.
    """
    from bench import experiments
    from labrt.images import store

    chosen = [
        make(name, connection=request.connection) for name in request.subjects or DEFAULT_SUBJECTS
    ]
    quick = request.settings.quick
    named = request.experiments or (DEFAULT_EXPERIMENTS if quick else experiments.names())
    questions = [experiments.make(name) for name in named]
    return chosen, questions, store.resolve(request.image)


def _plan(
    request: Request,
    chosen: list[Subject],
    questions: list[Experiment],
    image: Image,
    fingerprint: dict[str, Any],
) -> Plan:
    return Plan(
        run=time.strftime("%Y-%m-%dT%H-%M-%S"),
        subjects=chosen,
        experiments=questions,
        workload=Workload(image=image.name, digest=image.digest),
        settings=request.settings,
        host=fingerprint["id"],
        accelerator=fingerprint["accelerator"]["accelerator"],
        seed=random.SystemRandom().randrange(2**31) if request.seed is None else request.seed,
        variants=tuple(request.variants),
    )


def _facts(plan: Plan) -> dict[str, Any]:
    """Return the run's own facts, for host.json."""
    return {
        "name": plan.run,
        "subjects": [subject.name for subject in plan.subjects],
        "experiments": [experiment.name for experiment in plan.experiments],
        "seed": plan.seed,
        "warm_up": "one start and stop of each subject, kept in the rows, left out of statistics",
        "settings": asdict(plan.settings),
        "varied": [variant.label or "as usual" for variant in plan.variants],
    }


def check_available(subject: Subject, asked_for: bool) -> None:
    """Refuse a run that could not be what it says it is.

    A VM that can't run here is a failed row, unless the user asked for it by name. A container
    without its limits is no comparison at all.

    Raises:
        LabError: the subject can't run here.
    """
    reason = subject.unavailable()
    if reason is None or (subject.kind == "vm" and not asked_for):
        return
    remedy = "" if "Remedy:" in reason else "leave it out with --subjects"
    if subject.kind != "vm" and os.geteuid() != 0:
        reason += "; without a cgroup it would not get the same limits as the VM"
        remedy = "run with sudo"
    raise LabError(f"measure the subject {subject.name}", reason, remedy=remedy)


# ---------------------------------------------------------------------------------------------
# The folder


def make_folder(parent: Path, name: str) -> Path:
    """Make a new folder for a run, and let `latest` point to it.

    Raises:
        LabError: it can't be made.
    """
    folder = parent / name
    try:
        folder.mkdir(parents=True)
    except OSError as error:
        raise LabError(
            f"make the folder {folder}", errno_text(error), remedy="name another with --out"
        ) from error
    _point_latest(parent, name)
    return folder


def _point_latest(parent: Path, name: str) -> None:
    aside = parent / f".latest-{os.getpid()}"
    try:
        aside.symlink_to(name)
        aside.replace(parent / "latest")
    except OSError:
        aside.unlink(missing_ok=True)  # a shared folder without links: `latest` is only a comfort


def save_host(folder: Path, fingerprint: dict[str, Any]) -> None:
    """Write host.json, as a whole.

    Raises:
        LabError: it can't be written.
    """
    path = folder / HOST
    try:
        paths.write_whole(path, (json.dumps(fingerprint, indent=2) + "\n").encode())
    except OSError as error:
        raise LabError(f"write {path}", errno_text(error), remedy="free some room") from error


def give_to_caller(folder: Path) -> None:
    """Under sudo, give the results to the user who called it, not to root (sudo(8), SUDO_UID)."""
    if os.geteuid() != 0 or "SUDO_UID" not in os.environ:
        return
    uid, gid = int(os.environ["SUDO_UID"]), int(os.environ["SUDO_GID"])
    for path in [folder.parent, folder.parent / "latest", folder, *folder.iterdir()]:
        if path.lstat().st_uid == 0:
            os.lchown(path, uid, gid)


# ---------------------------------------------------------------------------------------------
# What is made from the rows, now or at any later time


def conclude(folder: Path) -> list[Path]:
    """Draw the pictures and write the report of a run's folder; return the files.

    Raises:
        LabError: the folder holds no run, or can't be written.
    """
    from bench import host, report, views

    rows, damage = read(folder / ROWS)
    fingerprint = read_host(folder)
    try:
        about, of_each = host.describe(fingerprint), host.describe_each(fingerprint)
        pictures = views.draw_all(rows, about, folder, of_each)
        report.write(rows, damage, fingerprint, pictures, folder / "report.html")
    except OSError as error:
        raise LabError(
            f"write the report in {folder}",
            errno_text(error),
            remedy="free some room, then ./lab bench --report with that folder",
        ) from error
    finally:
        give_to_caller(folder)
    return [*pictures.values(), folder / "report.html"]


def succeeded(folder: Path) -> bool:
    """True if a run has measured anything at all."""
    return bool(statistics.ok(read(folder / ROWS)[0]))


def read_host(folder: Path) -> dict[str, Any]:
    """Return a run's host.json.

    Raises:
        LabError: there is none, or it is damaged.
    """
    from bench import host

    try:
        found: dict[str, Any] = json.loads((folder / HOST).read_text())
        found["run"], host.describe(found)  # what all who read it ask for
    except OSError as error:
        remedy = "name the folder of a run"
        raise LabError(f"read {folder / HOST}", errno_text(error), remedy=remedy) from error
    except (ValueError, KeyError, TypeError) as error:
        raise LabError(
            f"read {folder / HOST}",
            f"it has no {error}" if isinstance(error, KeyError) else str(error),
            "it is damaged or of another version",
            "./lab bench export reads the rows without it",
        ) from error
    return found


def show(folder: Path) -> None:
    """Print the tables of a run's folder, and on standard error what isn't in them."""
    from rich.console import Console

    from bench import screen, tables

    rows = read_and_tell(folder)
    console = Console(highlight=False)
    screen.show(rows, console)
    if cost := read_host(folder).get("run", {}).get("own_cost"):
        console.print(tables.own_cost_line(cost), end="\n\n")


def read_and_tell(folder: Path) -> list[Observation]:
    """Return the rows of a run's folder; say on standard error which lines are left out.

    Raises:
        LabError: it holds no run.
    """
    rows, damage = read(folder / ROWS)
    for said in told(folder / ROWS, damage, len(rows)):
        print(f"lab bench: {said}", file=sys.stderr)
    return rows
