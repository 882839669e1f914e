"""bench/cluster/fleet_runner.py, `Kind`: who does what, and who does what another leaves."""

from __future__ import annotations

from collections import deque

from bench.cluster.fleet import Host
from bench.cluster.fleet_runner import Kind, Step
from bench.course import Course
from bench.experiments.startup import Startup
from bench.plan import Planned
from tests.bench.toy_subject import Toy

A, B = Toy("a"), Toy("b")
WARM: list[Step] = [(number, Planned(Startup(), toy, -1)) for number, toy in enumerate((A, B))]


def round_of(sample: int) -> list[Step]:
    return [(2 + 2 * sample + n, Planned(Startup(), toy, sample)) for n, toy in enumerate((A, B))]


def kind(*names: str, rounds: int = 3) -> tuple[Kind, list[Host]]:
    hosts = [Host(f"tcp://{name}", name, {}) for name in names]
    hands = {host: deque(WARM) for host in hosts}
    units = deque(round_of(sample) for sample in range(rounds))
    made = Kind(list(hosts), Course(None, lambda text: None), units, hands, lambda trial: None)
    return made, hosts


def positions(made: Kind, host: Host, count: int) -> list[int]:
    found = [made.next(host) for _ in range(count)]
    return [step[0] for step in found if step]


def test_each_host_warms_up_and_a_round_is_done_by_one() -> None:
    made, (x, y) = kind("x", "y")
    assert positions(made, x, 3) == [0, 1, 2]
    assert positions(made, y, 4) == [0, 1, 4, 5]
    assert positions(made, x, 9) == [3, 6, 7]
    assert positions(made, y, 9) == []


def test_what_a_host_leaves_is_done_by_another_before_anything_else() -> None:
    made, (x, y) = kind("x", "y")
    positions(made, x, 2)
    under_way = made.next(x)
    assert under_way is not None
    assert made.lose(x, under_way) == []
    assert positions(made, y, 99) == [0, 1, 2, 3, 4, 5, 6, 7]


def test_a_warm_up_is_not_done_in_anothers_place() -> None:
    made, (x, y) = kind("x", "y", rounds=1)
    under_way = made.next(x)
    assert under_way is not None
    made.lose(x, under_way)
    assert positions(made, y, 99) == [0, 1, 2, 3]


def test_what_the_last_of_a_kind_leaves_is_told() -> None:
    made, (x,) = kind("x")
    positions(made, x, 2)
    under_way = made.next(x)
    assert under_way is not None
    assert [position for position, _ in made.lose(x, under_way)] == [3, 4, 5, 6, 7]
    assert made.to_come() == []
