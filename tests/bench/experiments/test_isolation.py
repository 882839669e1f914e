"""bench/experiments/isolation.py: only what is the host's counts, not what an instance owns."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from bench import subjects
from bench.experiments._questions import QUESTIONS, Answer, Answers, Host
from bench.experiments.isolation import Isolation, _answered
from bench.observations import Observation
from bench.subjects.base import InstanceFailed, Workload
from labrt import paths
from tests.bench.conftest import needs_cgroups
from tests.bench.test_runner import plan_of, run

HOST = Host("boot-a", frozenset({"net:[1]", "user:[2]", "mnt:[3]"}), "here", frozenset({"0:21"}))
SAID = {
    "release": "6.1",
    "boot_id": "boot-a",
    "host_name": "there",
    "hypervisor": "0 none",
    "namespaces": "3 net:[9] user:[2] mnt:[8]",
    "uid": "0",
    "CapEff": "00000000000000ff",
    "CapBnd": "0000000000000fff",
    "NoNewPrivs": "1",
    "Seccomp": "2",
    "processes": "0",
    "sentinel": "0",
    "sentinel_signal": "0",
    "sibling": "0",
    "sibling_socket": "0",
    "interfaces": "1 lo",
    "mounts": "2 0:21=proc 0:99=tmpfs",
    "host_file": "0",
    "devices": "2 null zero",
    "disks": "0",
    "proc_settings": "5",
    "sys_settings": "0",
    "module": "1",
    "clock": "22",
    "mount": "22",
    "kernel_log": "0",
    "user_ns": "1",
    "calls_answered": "300",
    "calls_refused": "2 103 175n",
}


def answers(uids: frozenset[int] = frozenset({1000}), **said: str) -> dict[str, Answer]:
    told = Answers(SAID | said, HOST, visible=True, uids=uids)
    return {question.name: answer for question, answer in _answered(told)}


def test_a_container_reaches_what_it_shares() -> None:
    found = answers()
    assert (found["kernel"].reached, found["system calls"].reached) == (1, 300)
    assert found["system calls"].text.split()[:2] == ["refused:", "syslog"]
    assert found["namespaces"].text == "user"
    assert found["capabilities"].reached == 8
    assert (found["interfaces"].reached, found["interfaces"].inside) == (0, 1)
    assert (found["file systems"].reached, found["file systems"].text) == (1, "proc")
    assert (found["devices"].reached, found["proc settings"].reached) == (2, 5)
    assert (found["clock"].reached, found["modules"].reached) == (1, 0)
    assert (found["mount"].reached, found["mount"].inside) == (0, 1), "in a namespace of its own"


def test_what_a_guest_has_of_its_own_is_not_the_hosts() -> None:
    found = answers(boot_id="boot-b")
    for question in QUESTIONS:
        if question.metric in ("yes", "count"):
            assert found[question.name].reached == 0, question.name
    assert (found["proc settings"].inside, found["system calls"].inside) == (5, 300)


def test_root_inside_is_root_outside_only_where_the_host_says_so() -> None:
    assert answers()["root"] == Answer(0, 1, "uid 0 inside, 1000 on the host")
    assert answers(frozenset({0}))["root"].reached == 1


def test_its_host_name_is_in_no_row() -> None:
    assert answers(host_name="here")["host name"] == Answer(1, 1)


@pytest.mark.parametrize("nonsense", [{"processes": "many"}, {"CapEff": "none"}, {"mounts": "1 x"}])
def test_an_instance_that_talks_nonsense_has_failed(nonsense: dict[str, str]) -> None:
    with pytest.raises(InstanceFailed, match="makes no sense"):
        answers(**nonsense)


@needs_cgroups
def test_a_plain_process_sees_the_host_and_a_container_does_not(
    workload: Workload, nothing_left: None, tmp_path: Path
) -> None:
    plan = plan_of([subjects.make("process"), subjects.make("labrt")], [Isolation()])
    rows, _ = run(replace(plan, workload=workload), tmp_path)
    assert [row.reason for row in rows if row.status == "failed"] == []
    plain, inside = (
        {row.phase: row for row in rows if row.subject == name} for name in ("process", "labrt")
    )
    assert list(plain) == list(inside) == [question.name for question in QUESTIONS]
    for question in ("kernel", "processes", "file", "sibling", "socket", "namespaces", "visible"):
        assert plain[question].value, question
    for question in ("processes", "file", "signal", "sibling", "socket", "interfaces", "disks"):
        assert inside[question].value == 0, question
    assert (inside["kernel"].value, inside["seccomp"].value) == (1, 1)
    assert _less(inside["system calls"], plain["system calls"])
    assert list(paths.run_dir().glob("sentinel-*")) == []


def _less(a: Observation, b: Observation) -> bool:
    assert a.value is not None and b.value is not None
    return a.value < b.value
