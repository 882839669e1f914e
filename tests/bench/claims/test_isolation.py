"""bench/claims/isolation.py: what a scorecard says of the claims."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from bench.claims.evidence import Evidence
from bench.claims.isolation import JUDGES
from bench.claims.verdict import FAILS, HOLDS, LIMITED, UNMEASURED, Verdict
from bench.observations import Observation
from tests.bench.scorecards import scorecard

Row = Callable[..., Observation]


def judged(claim: str, rows: list[Observation]) -> Verdict:
    return JUDGES[claim](Evidence(rows))


@pytest.mark.parametrize("claim", JUDGES)
def test_without_a_scorecard_nothing_is_measured(row: Row, claim: str) -> None:
    assert judged(claim, [row()]).verdict == UNMEASURED
    failed = row(None, experiment="isolation", phase="kernel", metric="yes", unit="1")
    assert judged(claim, [failed]).verdict == UNMEASURED


@pytest.mark.parametrize("claim", sorted(set(JUDGES) - {"C04"}))
def test_they_hold_where_the_walls_stand(row: Row, claim: str) -> None:
    assert judged(claim, scorecard(row)).verdict == HOLDS


def test_a_container_is_more_isolated_but_for_its_kernel(row: Row) -> None:
    found = judged("C04", scorecard(row))
    assert found.verdict == LIMITED
    assert found.figures == {"less": 21, "same": 1, "more": 0, "vm reaches": 0}
    assert found.limits == ("As much as a plain process: Is its kernel the host's.",)
    assert found.n == {"process": 1, "labrt": 1, "vm": 1}


def test_a_container_that_reaches_all_is_not_isolated(row: Row) -> None:
    rows = scorecard(row)
    plain = {r.phase: r.value for r in rows if r.subject == "process"}
    open_wide = {
        name.replace(" ", "_"): (value, value, 0.0) for name, value in plain.items() if value
    }
    assert judged("C04", scorecard(row, **open_wide)).verdict == FAILS  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("claim", "broken"),
    [
        ("C06", {"kernel": (1, 0, 1), "hypervisor": (0, 0, 0)}),
        ("C07", {"visible": (1, 0, 1)}),
        ("C19", {"processes": (9, 9, 0), "signal": (1, 1, 0), "file": (1, 1, 0),
                 "sibling": (1, 1, 0), "socket": (1, 1, 0), "interfaces": (3, 3, 0)}),
    ],
)  # fmt: skip
def test_they_do_not_hold_where_the_walls_are_missing(
    row: Row, claim: str, broken: dict[str, tuple[float, float, float]]
) -> None:
    assert judged(claim, scorecard(row, **broken)).verdict == FAILS


def test_one_hole_is_a_limit(row: Row) -> None:
    found = judged("C19", scorecard(row, socket=(1, 1, 0)))
    assert found.verdict == LIMITED
    assert found.limits == (
        "Not so: Can it reach another's socket: yes (labrt container), yes (plain process), "
        "no (libvirt VM).",
    )


def test_what_a_plain_process_cannot_do_either_shows_little(row: Row) -> None:
    found = judged("C14", scorecard(row, signal=(0, 0, 0)))
    assert found.verdict == LIMITED
    assert found.limits == ("A plain process doesn't either: May it end a process of the host.",)


def test_root_outside_is_told(row: Row) -> None:
    found = judged("C18", scorecard(row, root=(1, 1, 0)))
    assert found.verdict == LIMITED
    assert "Not so: Is it root on the host: yes (labrt container)" in found.limits[0]


def test_on_a_host_that_is_a_vm_the_hypervisors_names_tell(row: Row) -> None:
    found = judged("C06", scorecard(row, hypervisor=(1, 1, 1)))
    assert found.verdict == LIMITED
    assert found.limits == ("The host is a VM itself, so everything on it runs on a hypervisor.",)
