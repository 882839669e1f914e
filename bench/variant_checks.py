"""Which of the conditions that a user asks for can't be had, on this host or by a subject."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence

from bench import caches
from bench.experiments.base import Experiment
from bench.subjects.base import Subject
from bench.variants import Variant
from labrt.errors import LabError

UNLIMITED = "its numbers would stand beside those of others that are limited"


def check(
    variants: Sequence[Variant], subjects: Sequence[Subject], experiments: Sequence[Experiment]
) -> None:
    """Let conditions pass that all subjects can have.

    Raises:
        LabError: one can't be had; it is named.
    """
    for variant in variants:
        for error in _refusals(variant, subjects, experiments):
            raise error


def _refusals(
    variant: Variant, subjects: Sequence[Subject], experiments: Sequence[Experiment]
) -> Iterator[LabError]:
    if variant.caches == "cold" and (reason := caches.unavailable()):
        yield LabError("measure with cold caches", reason, remedy="leave --cold away")
    if variant.parallel > 1 and not any(each.parallels for each in experiments):
        names = ", ".join(each.name for each in experiments)
        yield LabError(
            f"measure {variant.parallel} in parallel",
            f"{names}: its instances come one after the other",
            remedy="leave --parallel away, or ask for startup, stop or scale-out",
        )
    if variant.cpus > (here := len(os.sched_getaffinity(0))):
        yield LabError(
            f"give each instance {variant.cpus:g} CPUs",
            f"this host has {here}",
            remedy="ask for fewer with --cpus",
        )
    scratch = all(each.scratch for each in experiments)
    for subject in subjects if variant.io else ():
        if reason := subject.no_io_limit(scratch):
            remedy = "leave it out with --subjects, or --io away"
            yield LabError(f"limit the I/O of {subject.name}", reason, UNLIMITED, remedy)
