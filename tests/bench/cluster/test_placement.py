"""bench/cluster/placement.py: a trial goes where what it needs is."""

from __future__ import annotations

import os
from typing import ClassVar

import pytest

from bench.cluster import placement
from bench.experiments.startup import Startup
from bench.plan import Planned
from bench.variants import Variant
from tests.bench.toy_subject import Toy

GIB = 2**30


class ToyMachine(Toy):
    kind: ClassVar = "vm"


def test_a_host_declares_its_cores_its_memory_and_one_accelerator() -> None:
    found = placement.declared("tcg")
    assert found["cores"] == len(os.sched_getaffinity(0))
    assert found["memory"] > 2**27
    assert (found["tcg"], "kvm" in found) == (1, False)
    assert set(placement.declared("none")) == {"cores", "memory"}


@pytest.mark.parametrize(
    ("host", "variant", "fits"),
    [
        ({"cores": 2, "memory": GIB}, Variant(), True),
        ({"cores": 2, "memory": GIB}, Variant(cpus=4), False),
        ({"cores": 2, "memory": GIB}, Variant(memory=2 * GIB), False),
    ],
)
def test_no_trial_goes_where_it_has_no_room(
    host: placement.Resources, variant: Variant, fits: bool
) -> None:
    trial = Planned(Startup(), Toy(), 0, variant)
    assert placement.fits(placement.needs(trial, "kvm"), host) is fits


def test_virtual_machines_go_where_kvm_is_if_it_is_anywhere() -> None:
    slow, fast, neither = ({"cores": 2, "memory": GIB, **each} for each in
                           ({"tcg": 1}, {"kvm": 1}, {}))  # fmt: skip
    machine, process = Planned(Startup(), ToyMachine(), 0), Planned(Startup(), Toy(), 0)
    for fleet, able in (([slow, fast, neither], [fast]), ([slow, neither], [slow])):
        needed = placement.needs(machine, placement.accelerator_of(fleet))
        assert [host for host in fleet if placement.fits(needed, host)] == able
    needed = placement.needs(process, "kvm")
    assert all(placement.fits(needed, host) for host in (slow, fast, neither))
