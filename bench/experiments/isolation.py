"""Isolation: what an instance sees of its host and of its siblings, and what it may do there."""

from __future__ import annotations

import secrets
from dataclasses import replace
from pathlib import Path
from typing import ClassVar

import psutil

from bench import sentinel, static_image
from bench.experiments._questions import QUESTIONS, Answer, Answers, Question, host
from bench.experiments.base import Experiment, Trial
from bench.probe import PROBE
from bench.subjects.base import Instance, InstanceFailed, Workload
from labrt import paths


class Isolation(Experiment):
    name: ClassVar = "isolation"
    title: ClassVar = "Isolation"
    question: ClassVar = "What does an instance see of its host, and what may it do there?"
    method: ClassVar = (
        "One static program, the same in every kind of instance, tries each thing once and says "
        "what the kernel answered. It asks in ways that change nothing: signal 0, a module that is "
        "none, an impossible clock tick, files opened for writing and closed. The host has a "
        "process and a file for it to find, and of two instances the second looks for the first. "
        "System calls are tried with invalid arguments; those answered EPERM or ENOSYS count as "
        "refused (a filter, a missing capability, or a kernel without it); left out are those "
        "that act whatever they are given (bench/probe/probe.c lists them with the reasons). "
        "Devices are asked for by access(2)."
    )
    limits: ClassVar = (
        "It counts doors, not how strong they are: one fault in the host's kernel behind a system "
        "call that is answered undoes a container, one in the hypervisor (whose own devices and "
        "system calls aren't counted here) undoes a VM. Nothing here tells how likely either is. "
        "One try of each: what depends on chance or load isn't seen."
    )
    repeats: ClassVar = False

    def __init__(self) -> None:
        self._token = secrets.token_hex(3)  # another bench may ask at the same time

    @property
    def _file(self) -> Path:
        return paths.run_dir() / f"sentinel-{self._token}"

    def unavailable(self) -> str | None:
        return static_image.unavailable()

    def workload(self, asked: Workload) -> Workload:
        image = PROBE.image()
        command = (self._token, str(self._file))
        return replace(
            asked, image=image.name, digest=image.digest, name=self.name, command=command
        )

    def measure(self, trial: Trial) -> None:
        with sentinel.standing(self._token, self._file):
            trial.work(trial.start_ready())  # the sibling, which stays
            instance = trial.start_ready()
            said = trial.work(instance).said
            seen = _probes(instance, self._token)
            uids = frozenset(map(_uid, seen or instance.pids()))
        for question, answer in _answered(Answers(said, host(), bool(seen), uids)):
            trial.record(
                question.name,
                question.metric,
                "1",
                float(answer.reached),
                inside=float(answer.inside),
                text=answer.text,
                question=question.text,
                group=question.group,
            )

    def failed_row(self) -> tuple[str, str, str]:
        return QUESTIONS[0].name, QUESTIONS[0].metric, "1"


def _answered(answers: Answers) -> list[tuple[Question, Answer]]:
    """Answer every question.

    Raises:
        InstanceFailed: what the instance has said makes no sense.
    """
    try:
        return [(question, question.ask(answers)) for question in QUESTIONS]
    except (LookupError, ValueError) as error:
        raise InstanceFailed(f"what it said makes no sense: {error}") from error


def _probes(instance: Instance, token: str) -> list[int]:
    """Return those of an instance's processes on the host that are the probe itself."""
    return [pid for pid in instance.pids() if psutil.Process(pid).name() == f"probe-{token}"]


def _uid(pid: int) -> int:
    return int(psutil.Process(pid).uids().effective)
