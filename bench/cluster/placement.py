"""Placement: what a host declares, and what a trial needs, in the words of Dask's resources
(https://distributed.dask.org/en/stable/resources.html).
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping

from bench import meminfo
from bench.plan import Planned
from bench.variants import Variant

Resources = Mapping[str, float]


def declared(accelerator: str) -> Resources:
    """Return what this host has: cores, bytes of memory, and one of "kvm" and "tcg" (neither: it
    can run no virtual machine).

    Args:
        accelerator: the verdict of `bench.accelerator`.
    """
    found: dict[str, float] = {"cores": len(os.sched_getaffinity(0)), "memory": meminfo.total()}
    return found | ({accelerator: 1} if accelerator in ("kvm", "tcg") else {})


def needs(trial: Planned, accelerator: str) -> Resources:
    """Return what the host of a trial must have.

    Args:
        accelerator: with which virtual machines run in this fleet.
    """
    return of_variant(trial.variant) | ({accelerator: 1} if trial.subject.kind == "vm" else {})


def of_variant(variant: Variant) -> dict[str, float]:
    """Return what one instance may use."""
    return {"cores": variant.cpus, "memory": variant.memory}


def fits(needed: Resources, has: Resources) -> bool:
    """True if a host has what is needed."""
    return all(has.get(name, 0) >= amount for name, amount in needed.items())


def accelerator_of(hosts: Iterable[Resources]) -> str:
    """Return with which accelerator virtual machines run: KVM where any host has it."""
    return "kvm" if any("kvm" in each for each in hosts) else "tcg"
