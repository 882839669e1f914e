"""bench/variant_checks.py: what can't be had is refused by name, before anything starts."""

from __future__ import annotations

from pathlib import Path

import pytest

from bench import caches, io_limit, subjects
from bench.experiments.density import Density
from bench.experiments.disk import Disk
from bench.experiments.startup import Startup
from bench.variant_checks import check
from bench.variants import Variant
from labrt.errors import LabError
from tests.bench.conftest import needs_cgroups
from tests.bench.toy_subject import Toy


def test_as_usual_all_can() -> None:
    check([Variant()], [Toy(), subjects.make("vm")], [Density()])


def test_experiments_without_parallel_starts_are_named() -> None:
    with pytest.raises(LabError, match="density"):
        check([Variant(parallel=4)], [Toy()], [Density()])
    check([Variant(parallel=4)], [Toy()], [Density(), Startup()])


def test_a_vm_without_a_disk_has_no_io_to_limit() -> None:
    with pytest.raises(LabError, match="limit the I/O of vm.*vm-disk has one"):
        check([Variant(io=2**20)], [subjects.make("vm-disk"), subjects.make("vm")], [Startup()])


def test_a_vm_that_writes_to_a_scratch_has_one_there(workload: object) -> None:
    if reason := io_limit.refusal():
        pytest.skip(reason)
    asked = [Variant(io=2**20)], [subjects.make("vm"), subjects.make("process")]
    check(*asked, [Disk()])
    with pytest.raises(LabError, match="limit the I/O of vm"):
        check(*asked, [Disk(), Startup()])


def test_no_instance_gets_more_cpus_than_there_are() -> None:
    with pytest.raises(LabError, match="5000 CPUs"):
        check([Variant(cpus=5000.0)], [Toy()], [Startup()])


def test_who_may_not_drop_caches_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(caches, "DROP", tmp_path / "nothing")
    with pytest.raises(LabError, match="cold caches"):
        check([Variant(), Variant(caches="cold")], [Toy()], [Startup()])


@needs_cgroups
def test_containers_whose_home_is_on_a_disk_can_be_limited(workload: object) -> None:
    if reason := io_limit.refusal():
        pytest.skip(reason)
    check([Variant(io=2**20)], [subjects.make(n) for n in ("process", "labrt")], [Startup()])
