"""The judges of the lesson "against" can reach each of their answers, and its check sees limits."""

from __future__ import annotations

import pytest

import labrt
from labrt.lessons.lesson import check_of, prediction
from tests.labrt.conftest import needs_cgroups


def test_the_judges_of_against() -> None:
    judge = prediction("against-p1").judge
    assert [judge(container=1, vm=ratio) for ratio in (1.5, 5, 50)] == ["a", "b", "c"]
    judge = prediction("against-p2").judge
    assert [judge(container=1, vm=ratio) for ratio in (2, 20, 200)] == ["a", "b", "c"]
    judge = prediction("against-p3").judge
    assert judge(refused=False, ratio=1.0) == "a"
    assert judge(refused=False, ratio=None) == "b"
    assert judge(refused=True, ratio=None) == "c"


@needs_cgroups
@pytest.mark.usefixtures("nothing_left")
def test_the_limits_of_containers_are_told_as_the_kernel_has_them() -> None:
    look = check_of("against-01").observe
    with labrt.run("busybox", ["sleep", "600"], memory="123m", cpus=1):
        assert "containers: 123 MiB, 1 CPUs;" in look("123").saw
    with labrt.run("busybox", ["sleep", "600"]):
        assert "containers: no limit, all CPUs;" in look("123").saw
