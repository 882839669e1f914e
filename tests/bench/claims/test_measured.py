"""bench/claims/: speed.py, cost.py, images.py, overhead.py, limits.py. Verdicts come from samples,
and only from enough of them."""

from __future__ import annotations

import random
from collections.abc import Callable

import pytest

from bench.claims.cost import cheaper
from bench.claims.evidence import TCG, Evidence
from bench.claims.images import deploys, moves, no_guest_system, only_the_change
from bench.claims.limits import limited
from bench.claims.overhead import low_overhead
from bench.claims.speed import ONCE, quick, scales_less
from bench.claims.verdict import FAILS, HOLDS, LIMITED, OPEN, UNMEASURED
from bench.observations import Observation

Row = Callable[..., Observation]

KINDS = {
    "process": {"kind": "process", "title": "plain process"},
    "labrt": {"kind": "container", "title": "labrt container"},
    "vm": {"kind": "vm", "title": "libvirt VM"},
}
MIB = 2**20


def samples(
    row: Row, subject: str, middle: float, n: int = 10, seed: int = 1, **given: object
) -> list[Observation]:
    drawn = random.Random(f"{subject} {seed}")
    about = KINDS[subject] | {"accelerator": "kvm"} | given
    return [
        row(middle * drawn.lognormvariate(0, 0.02), sample=k, subject=subject, **about)
        for k in range(n)
    ]


def starts(row: Row, container: float, vm: float, n: int = 10, **given: object) -> Evidence:
    both = samples(row, "labrt", container, n, **given), samples(row, "vm", vm, n, **given)
    return Evidence([*both[0], *both[1]])


# C23


def test_faster_starts_make_the_claim_hold(row: Row) -> None:
    found = quick(starts(row, 0.005, 2.0))
    assert found.verdict == HOLDS
    assert "times as much (95 % interval" in found.sentences[0]
    assert found.n == {"labrt": 10, "vm": 10}
    assert 0 < found.figures["T0-T3 labrt / vm"] < 0.01


def test_slower_starts_do_not(row: Row) -> None:
    assert quick(starts(row, 2.0, 0.005)).verdict == FAILS


def test_no_difference_does_not(row: Row) -> None:
    found = quick(starts(row, 1.0, 1.0))
    assert found.verdict == FAILS
    assert "no difference was found" in found.sentences[0]


def test_under_tcg_it_holds_with_that_limit(row: Row) -> None:
    found = quick(starts(row, 0.005, 2.0, accelerator="tcg"))
    assert (found.verdict, found.limits) == (LIMITED, (TCG,))


@pytest.mark.parametrize("n", [1, 3])
def test_too_few_samples_decide_nothing_and_say_so(row: Row, n: int) -> None:
    found = quick(starts(row, 0.005, 2.0, n))
    assert found.verdict == OPEN
    assert f"{n} " in found.sentences[0] and "samples" in found.sentences[0]


def test_starts_that_fail_decide_nothing(row: Row) -> None:
    failed = [row(None, subject="vm", **KINDS["vm"]) for _ in range(10)]
    found = quick(Evidence([*samples(row, "labrt", 0.005, accelerator="tcg"), *failed]))
    assert found.verdict == OPEN
    assert "0 samples" in found.sentences[0]


def test_without_a_vm_nothing_is_measured(row: Row) -> None:
    assert quick(Evidence(samples(row, "labrt", 0.005))).verdict == UNMEASURED


def test_what_was_varied_on_purpose_is_left_out(row: Row) -> None:
    cold = samples(row, "labrt", 9.0, caches="cold"), samples(row, "vm", 0.1, caches="cold")
    warm = samples(row, "labrt", 0.1), samples(row, "vm", 9.0)
    rows = [each for rows in (*cold, *warm) for each in rows]
    assert quick(Evidence(rows)).verdict == HOLDS


# C10


def ramp(row: Row, subject: str, count: float, rule: str) -> Observation:
    about = KINDS[subject] | {"rule": rule, "rule_text": f"the {rule} said so"}
    given = {"experiment": "density", "phase": "reached", "metric": "instances", "unit": "1"}
    return row(count, subject=subject, accelerator="kvm", **given, **about)


def test_more_containers_than_vms_at_once(row: Row) -> None:
    rows = [ramp(row, "labrt", 500, "memory budget"), ramp(row, "vm", 20, "memory budget")]
    found = scales_less(Evidence(rows))
    assert (found.verdict, found.limits) == (LIMITED, (ONCE,))
    assert found.n == {"labrt": 1, "vm": 1}


def test_a_ramp_that_was_only_cut_short_bounds_nothing(row: Row) -> None:
    found = scales_less(Evidence([ramp(row, "labrt", 64, "count"), ramp(row, "vm", 20, "time")]))
    assert found.verdict == LIMITED
    assert "labrt container and the libvirt VM" in found.limits[0]
    both = [ramp(row, "labrt", 64, "count"), ramp(row, "vm", 64, "count")]
    assert scales_less(Evidence(both)).verdict == OPEN


def at_once(row: Row, container: float, vm: float, n: int = 3) -> Evidence:
    given = {"experiment": "scale-out", "metric": "rate", "unit": "1/s", "parallel": 16}
    rows = [
        each
        for phase in ("all ready", "all gone")
        for subject, rate in (("labrt", container), ("vm", vm))
        for each in samples(row, subject, rate, n, phase=phase, instances=16, **given)
    ]
    return Evidence(rows)


def test_rates_that_do_not_mix_decide(row: Row) -> None:
    assert scales_less(at_once(row, 200, 5)).verdict == HOLDS
    assert scales_less(at_once(row, 5, 200)).verdict == FAILS
    assert scales_less(at_once(row, 5, 5)).verdict == OPEN
    assert scales_less(at_once(row, 200, 5, n=1)).limits == (ONCE,)
    assert len(quick(at_once(row, 200, 5)).sentences) == 2


# C25


def memory(row: Row, subject: str, each: float) -> list[Observation]:
    given = KINDS[subject] | {"experiment": "memory", "accelerator": "kvm", "unit": "B"}
    drawn = random.Random(subject)
    points = [
        row(
            8e9 - each * count + drawn.uniform(-1e5, 1e5),
            subject=subject,
            phase="ramp",
            metric="mem_available",
            sample=count,
            instances=count,
            **given,
        )
        for count in (0, 8, 16, 24, 16, 8)
    ]
    charged = {"phase": "idle", "metric": "cgroup_used", "instances": 24}
    return [*points, *samples(row, subject, each, 24, **(given | charged))]


def test_instances_per_gib_and_their_price(row: Row) -> None:
    found = cheaper(Evidence([*memory(row, "labrt", 2 * MIB), *memory(row, "vm", 128 * MIB)]))
    assert found.verdict == HOLDS
    assert "8 in a GiB" in found.sentences[0]
    assert "At a price of 1 for a GiB: 0.00195" in found.sentences[0]
    assert found.figures["vm bytes per instance"] == pytest.approx(128 * MIB, rel=0.01)


def test_slopes_that_overlap_decide_nothing(row: Row) -> None:
    rows = [*memory(row, "labrt", 100.0), *memory(row, "vm", 100.0)]
    ramps = [each for each in rows if each.phase == "ramp"]
    assert cheaper(Evidence(ramps)).verdict == OPEN


# C24


def work(row: Row, container: float, vm: float, n: int = 10, unit: str = "s") -> Evidence:
    given = {"experiment": "cpu", "phase": "integers", "metric": "each", "unit": unit}
    values = {"process": 1.0, "labrt": container, "vm": vm}
    rows = [
        each
        for subject, middle in values.items()
        for each in samples(row, subject, middle, n, **given)
    ]
    return Evidence(rows)


def test_low_overhead_is_at_most_a_tenth(row: Row) -> None:
    found = low_overhead(work(row, 1.01, 5.0))
    assert found.verdict == HOLDS
    assert "the libvirt VM takes 4.98 times" in found.sentences[0]
    assert low_overhead(work(row, 1.5, 5.0)).verdict == FAILS


def test_of_a_rate_less_is_dearer(row: Row) -> None:
    assert low_overhead(work(row, 0.5, 0.1, unit="B/s")).verdict == FAILS
    assert low_overhead(work(row, 2.0, 0.1, unit="B/s")).verdict == HOLDS


def test_few_samples_of_work_decide_nothing(row: Row) -> None:
    found = low_overhead(work(row, 1.0, 5.0, 4))
    assert found.verdict == OPEN
    assert "too few samples" in found.sentences[0]


# C08, C09, C22, C26

FORMS = {  # subject → bytes by kind, bytes sent first and of the change, seconds
    "labrt": ((0, 0, 1e6), (1e6, 2e3), (1.0, 0.1)),
    "vm": ((8e6, 3e6, 1e6), (12e6, 9e6), (20.0, 15.0)),
}


def travelled(row: Row, forms: dict[str, tuple[tuple[float, ...], ...]] = FORMS) -> Evidence:
    given = {"experiment": "image", "workload": "image"}
    rows = []
    for subject, (contents, sent, seconds) in forms.items():
        for kind, size in zip(("kernel", "guest", "files"), contents, strict=True):
            about = given | {"phase": "contents", "metric": kind, "unit": "B"}
            rows += samples(row, subject, size, **about)
        for phase, size, took in zip(("first", "update"), sent, seconds, strict=True):
            about = given | {"phase": phase}
            rows += samples(row, subject, size, metric="sent", unit="B", **about)
            rows += samples(row, subject, took, metric="total", unit="s", **about)
    return Evidence(rows)


def test_a_container_is_smaller_and_travels_faster(row: Row) -> None:
    for judge in (no_guest_system, moves, deploys, only_the_change):
        assert judge(travelled(row)).verdict == HOLDS, judge
        assert judge(travelled(row)).n["labrt"] == 10
    assert "kernel 7." in no_guest_system(travelled(row)).sentences[1]
    assert only_the_change(travelled(row)).figures["vm update / first"] > 0.5


def test_where_it_is_the_other_way_round_they_do_not_hold(row: Row) -> None:
    swapped = {"labrt": FORMS["vm"], "vm": FORMS["labrt"]}
    for judge in (no_guest_system, moves, deploys, only_the_change):
        assert judge(travelled(row, swapped)).verdict == FAILS, judge


# C20


def demanded(row: Row, memory: float, share: float, held: float, outcome: str) -> Evidence:
    about = KINDS["labrt"] | {"experiment": "limits", "unit": "1"}
    cpu = {"phase": "cpu", "limit": 1.0, "demand": 3, "host_cpus": 2, "host_idle": 0.02}
    rows = [
        row(memory, phase="memory", metric="taken", limit=256 * MIB, outcome=outcome,
            **(about | {"unit": "B"})),
        row(share, metric="share", **about, **cpu),
        row(held, metric="throttled", **about, **cpu),
    ]  # fmt: skip
    return Evidence(rows)


def test_limits_that_hold(row: Row) -> None:
    found = limited(demanded(row, 255 * MIB, 1.0, 0.9, "killed"))
    assert found.verdict == HOLDS
    assert "killed 1 of 1 times" in found.sentences[0]
    assert "held back in 90 % of the periods" in found.sentences[1]


def test_limits_that_do_not(row: Row) -> None:
    assert limited(demanded(row, 512 * MIB, 2.0, 0.0, "had")).verdict == FAILS
    found = limited(demanded(row, 255 * MIB, 2.0, 0.0, "killed"))
    assert found.verdict == LIMITED
    assert found.limits[0].startswith("Not so: The labrt container took 2 CPUs")


def test_a_limit_that_was_never_reached_is_not_shown(row: Row) -> None:
    found = limited(demanded(row, 255 * MIB, 0.3, 0.0, "killed"))
    assert found.verdict == LIMITED
    assert "it never came near its limit" in found.limits[0]
    assert "idle for at most 2 % of the time" in found.limits[0]
