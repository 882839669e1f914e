"""The runner over several hosts: who does which trial, and what becomes of it if a host goes away.

Hosts with the same fingerprint and accelerator are of one kind. Each kind does the whole plan, as
far as its hosts have what the trials need; hosts of one kind share it, a round at a time: so within
a round all are measured on one host. Trials that fill a fleet (`Experiment.fleet`) are done on all
hosts at once, each to its own stop rule, after everything else.

A host that goes away: the trial under way is a failed row, and it and what else the host had in
hand is done by another of its kind; if there is none, what isn't done is told in a row of each
subject and experiment. A trial's rows come whole and from one host, so nothing counts twice.
"""

from __future__ import annotations

import time
from collections import Counter, deque
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field, replace
from itertools import groupby
from typing import Any, Protocol

from bench import host as this_host
from bench import interrupts, resume
from bench.cluster import placement, task
from bench.cluster.fleet import Fleet, Host, Lost
from bench.course import Course
from bench.experiments.base import Settings
from bench.observations import Log, Observation
from bench.place import conditions
from bench.plan import Plan, Planned, schedule
from bench.runner import Progress
from labrt.errors import LabError

LEAD = 0.5  # seconds from when hosts are told to begin together until they do

LAST = 180.0  # seconds that a host may take to close what it has opened

Step = tuple[int, Planned]  # a trial with its position in the plan


class FleetProgress(Progress, Protocol):
    """A progress that knows of trials beside each other."""

    def begin(
        self, planned: list[Planned], limit: float | None = None, at_once: int = 1
    ) -> None: ...
    def done(self, trial: Planned, took: float | None = None) -> None: ...


@dataclass(eq=False)
class Kind:
    """Hosts that are alike, and what of the plan isn't begun.

    Attributes:
        units: what one host does without another in between: a round, a ramp.
        hands: of those that each host has taken, what it hasn't begun.
        left_out: told of each trial that isn't tried any more.
    """

    hosts: list[Host]
    course: Course
    units: deque[list[Step]]
    hands: dict[Host, deque[Step]]
    left_out: Callable[[Planned], None]

    def next(self, host: Host) -> Step | None:
        """Return what a host does next, or None if nothing is left for it."""
        hand = self.hands[host]
        while hand or self.units:
            if not hand:
                hand.extend(self.units.popleft())
            step = hand.popleft()
            if not self.course.left_out(step[1]):
                return step
            self.left_out(step[1])
        return None

    def to_come(self) -> list[Planned]:
        """Return all that isn't begun."""
        return [trial for unit in [*self.hands.values(), *self.units] for _, trial in unit]

    def lose(self, host: Host, under_way: Step) -> list[Step]:
        """Take a host out. What it leaves is for the others; of a kind that has none any more,
        return it, with all that nobody has begun."""
        left = [step for step in self.hands.pop(host) if step[1].sample >= 0]
        self.hosts.remove(host)
        if self.hosts:
            again = [under_way] if under_way[1].sample >= 0 else []  # others have their own
            if again or left:
                self.units.appendleft([*again, *left])
            return []
        left += [step for unit in self.units for step in unit]
        self.units.clear()
        return left


@dataclass
class FleetRunner:
    """One run over a fleet."""

    plan: Plan
    log: Log
    progress: FleetProgress
    fleet: Fleet
    connection: str | None = None
    _hosts: list[Host] = field(default_factory=list)  # that take part

    def run(self) -> None:
        """Do all trials. Everything that was started or opened is gone when this returns.

        Raises:
            Unwritable: the results can't be kept.
            LabError: no host can take part, or the scheduler went away.
            bench.interrupts.Interrupted: Ctrl-C; the rows so far are kept.
        """
        whole = list(enumerate(schedule(self.plan)))
        try:
            self._begin([trial for _, trial in whole])
            kinds = [self._kind(hosts, whole) for hosts in self._alike(whole)]
            together = [step for step in whole if step[1].experiment.fleet]
            planned = [trial for kind in kinds for trial in kind.to_come()]
            planned += [trial for _, trial in together]
            limit = self.plan.settings.round_seconds
            self.progress.begin(planned, limit, len(self._hosts))
            self._in_turns(kinds)
            self._together(together)
        except BaseException:
            self.fleet.give_up()
            raise
        finally:
            with interrupts.held():
                self._end()

    # Making ready, and the end

    def _begin(self, trials: Sequence[Planned]) -> None:
        """Have every host make ready what fits it.

        Raises:
            LabError: none can take part.
        """
        hosts = self.fleet.hosts
        accelerator = placement.accelerator_of(host.resources for host in hosts)
        asked = {
            host: self.fleet.ask(host, task.begin, self._told(host, trials, accelerator))
            for host in hosts
        }
        answers = self.fleet.all_answers(asked)
        for host in hosts:
            answer = answers.get(host, {"error": "it went away"})
            if refused := answer.get("error"):
                self.progress.note(f"host {host.name} can't take part: {refused}")
                self.log.append(self._refused(host, refused))
                continue
            self._keep(host, answer)
            host.stamps = {(name, subject): each for name, subject, each in answer["stamps"]}
            self._hosts.append(host)
        if not self._hosts:
            raise LabError("measure over the fleet", f"the last of its hosts: {refused}")

    def _told(self, host: Host, trials: Sequence[Planned], accelerator: str) -> dict[str, Any]:
        """Return what a host is told of the run: as much as fits it."""
        fitting = {
            trial.key: trial
            for trial in trials
            if placement.fits(placement.needs(trial, accelerator), host.resources)
        }.values()
        subjects = [each for each in self.plan.subjects if any(t.subject is each for t in fitting)]
        variants = [
            variant
            for variant in self.plan.variants
            if placement.fits(placement.of_variant(variant), host.resources)
        ]
        elsewhere = [each.name for each in self.plan.subjects if each not in subjects]
        elsewhere += [
            each.label or "as usual" for each in self.plan.variants if each not in variants
        ]
        for what in elsewhere:
            self.progress.note(
                f"host {host.name} hasn't what it takes for {what}: not placed there"
            )
        return resume.described(self.plan, self.connection) | {
            "lab": this_host.lab_version(),
            "subjects": [each.name for each in subjects],
            "variants": [asdict(variant) for variant in variants],
            "trials": [_what(trial) for trial in fitting],
        }

    def _end(self) -> None:
        """Have every host close what it has opened."""
        asked = {host: self.fleet.ask(host, task.end, self.plan.run) for host in self._hosts}
        for host, answer in self.fleet.all_answers(asked, LAST).items():
            self._keep(host, answer)

    # One trial after the other, on each host

    def _alike(self, whole: Sequence[Step]) -> list[list[Host]]:
        """Return the hosts that take part, by kind. Those that can't measure the same aren't of
        one kind, though they look alike."""

        def kind(host: Host) -> str:
            takes = {trial.key for _, trial in whole if host.takes(trial)}
            return repr((host.kind, sorted(takes)))

        return [list(hosts) for _, hosts in groupby(sorted(self._hosts, key=kind), key=kind)]

    def _kind(self, hosts: list[Host], whole: Sequence[Step]) -> Kind:
        mine = [step for step in whole if hosts[0].takes(step[1]) and not step[1].experiment.fleet]
        warm_ups = [step for step in mine if step[1].sample < 0]
        rest = [step for step in mine if step[1].sample >= 0]
        return Kind(
            hosts,
            Course(self.plan.settings.round_seconds, self._note_of(hosts)),
            deque(list(unit) for _, unit in groupby(rest, key=_unit)),
            {host: deque(warm_ups) for host in hosts},
            self.progress.done,
        )

    def _note_of(self, hosts: Sequence[Host]) -> Callable[[str], None]:
        """Return what tells the user something of these hosts."""
        names = ", ".join(host.name for host in hosts)
        return lambda text: self.progress.note(f"host {names}: {text}")

    def _in_turns(self, kinds: Sequence[Kind]) -> None:
        """Keep every host at work until nothing is left."""
        kind_of = {host: kind for kind in kinds for host in kind.hosts}
        under_way: dict[Any, tuple[Host, Step, float]] = {}

        def go_on(host: Host) -> None:
            if step := kind_of[host].next(host):
                self.progress.doing(step[1])
                under_way[self._ask(host, step)] = host, step, time.monotonic()

        for host in kind_of:
            go_on(host)
        while under_way:
            for future in self.fleet.first({f: host for f, (host, *_) in under_way.items()}):
                host, step, began = under_way.pop(future)
                kind = kind_of[host]
                try:
                    answer = self.fleet.answer(future, host)
                except Lost:
                    self._lose(kind, host, step)
                    busy = {each for each, *_ in under_way.values()}
                    for other in [each for each in kind.hosts if each not in busy]:
                        go_on(other)
                    continue
                self._accept(host, step[1], answer, kind.course, kind.to_come())
                self.progress.done(step[1], time.monotonic() - began)
                go_on(host)

    def _lose(self, kind: Kind, host: Host, under_way: Step) -> None:
        """Record what is lost with a host, and what nobody can do in its place."""
        self._hosts.remove(host)
        left = kind.lose(host, under_way)
        again = "another like it does what is left" if kind.hosts else "no other is like it"
        self.progress.note(f"the host {host.name} went away: {again}")
        self.log.append(self._lost(host, under_way))
        counts = Counter(trial.key for _, trial in left)
        for step in {step[1].key: step for step in reversed(left)}.values():
            told = f", and nobody has done {counts[step[1].key]} more trials"
            self.log.append(self._lost(host, step, told))
        for _, trial in left:
            self.progress.done(trial)

    # All hosts at once

    def _together(self, steps: Sequence[Step]) -> None:
        """Do the trials that fill the fleet."""
        course = Course(None, self.progress.note)
        for index, step in enumerate(steps):
            if not course.left_out(step[1]):
                to_come = [trial for _, trial in steps[index + 1 :]]
                self._everywhere(step, course, to_come)
            self.progress.done(step[1])

    def _everywhere(self, step: Step, course: Course, to_come: Sequence[Planned]) -> None:
        """Do one trial on all hosts, begun at the same moment."""
        trial = step[1]
        shares = self._shares(trial)
        if not shares:
            return
        clocks = self.fleet.clocks(list(shares))
        self.progress.doing(trial)
        begin = time.time() + LEAD
        also = {
            "fleet": len(shares),
            "skew": round(max([0.0, *(off for _, off in clocks.values())]), 6),
        }
        asked = {
            host: self._ask(host, step, begin + clocks[host][0], also | self._of_alike(host), share)
            for host, share in shares.items()
            if host in clocks
        }
        for host in shares:
            try:
                answer = self.fleet.answer(asked[host], host)
            except (Lost, KeyError):
                self._hosts.remove(host)
                self.progress.note(f"the host {host.name} went away: the others go on")
                row = self._lost(host, step)
                self.log.append(replace(row, conditions=row.conditions | self._of_alike(host)))
            else:
                self._accept(host, trial, answer, course, to_come)

    def _shares(self, trial: Planned) -> dict[Host, Settings]:
        """Return what each host is to do of a trial; those that can't, or needn't, aren't there."""
        able = [host for host in self._hosts if host.takes(trial)]
        cores = [host.resources["cores"] for host in able]
        shares = trial.experiment.shares(self.plan.settings, cores)
        return {host: share for host, share in zip(able, shares, strict=True) if share}

    def _of_alike(self, host: Host) -> dict[str, str]:
        """Ramps of two hosts that are alike are two ramps: say of which one it is."""
        alike = [each for each in self.fleet.hosts if each.kind == host.kind]
        return {"place": host.name} if len(alike) > 1 else {}

    # Rows

    def _ask(
        self,
        host: Host,
        step: Step,
        begin: float | None = None,
        also: dict[str, Any] | None = None,
        share: Settings | None = None,
    ) -> Any:
        position, trial = step
        settings = asdict(share) if share else None
        asked = (self.plan.run, _what(trial), position, begin, also, settings)
        needs = placement.needs(trial, host.accelerator)
        return self.fleet.ask(host, task.trial, *asked, needs=needs)

    def _accept(
        self,
        host: Host,
        trial: Planned,
        answer: dict[str, Any],
        course: Course,
        to_come: Sequence[Planned],
    ) -> None:
        """Keep a trial's rows."""
        self._keep(host, answer)
        failed = answer["failed"] and Observation(**answer["failed"])
        if row := course.over(trial, failed, to_come):
            self.log.append(row)

    def _keep(self, host: Host, answer: dict[str, Any]) -> None:
        for row in answer["rows"]:
            self.log.append(Observation(**row))
        for note in answer["notes"]:
            self.progress.note(f"host {host.name}: {note}")

    def _lost(self, host: Host, step: Step, more: str = "") -> Observation:
        """Return the row of a trial that a host took with it."""
        position, trial = step
        stamps = host.stamps[trial.key[:2]] | asdict(trial.variant)
        stamps |= {"order": position, "worker": host.name}
        phase, metric, unit = trial.experiment.failed_row()
        return Observation(
            run=self.plan.run,
            subject=trial.subject.name,
            experiment=trial.experiment.name,
            sample=trial.sample,
            phase=phase,
            metric=metric,
            unit=unit,
            value=None,
            status="failed",
            reason=f"lost: the host {host.name} went away{more}",
            conditions=stamps | ({"warmup": True} if trial.sample < 0 else {}),
        )

    def _refused(self, host: Host, reason: str) -> Observation:
        """Return the row of a host that can't take part."""
        plan = replace(self.plan, host=host.fingerprint["id"], accelerator=host.accelerator)
        subject = self.plan.subjects[0]
        stamps = conditions(plan, subject, self.plan.workload)
        return Observation(
            run=self.plan.run,
            subject=subject.name,
            experiment="prepare",
            sample=0,
            phase="prepare",
            metric="time",
            unit="s",
            value=None,
            status="failed",
            reason=f"the host {host.name} can't take part: {reason}",
            conditions=stamps | {"order": -1, "worker": host.name},
        )


def _unit(step: Step) -> tuple[str, int]:
    """Return what tells a round, or a ramp, from the next."""
    position, trial = step
    return ("round", trial.sample) if trial.experiment.repeats else ("ramp", position)


def _what(trial: Planned) -> list[Any]:
    """Return a trial as a worker is told of it."""
    return [trial.experiment.name, trial.subject.name, trial.sample, asdict(trial.variant)]
