"""Pictures and tables hold what the kernel says, in words as well."""

from __future__ import annotations

import os

import pytest

import labrt
from labrt.lessons import observe
from labrt.lessons.diagrams import Member, graph

pytestmark = pytest.mark.usefixtures("nothing_left")


def test_picture_and_table_hold_the_kernels_facts() -> None:
    with labrt.run("busybox", ["sleep", "600"], hostname="box") as box:
        shown = labrt.diagram("uts", box)
        theirs = observe.namespace(box.pid, "uts")
    ours = observe.namespace("self", "uts")
    picture = shown.markdown.partition("```mermaid\n")[2].partition("```")[0]
    for fact in (ours, theirs, "box", os.uname().nodename, str(box.pid), os.uname().release):
        assert str(fact) in picture
        assert str(fact) in shown.text
    assert "p0 --> n0" in picture and "p1 --> n1" in picture


def test_the_picture_is_described_for_those_who_do_not_see_it() -> None:
    text = graph("uts", [Member("this notebook", 7, "uts:[1]", "lab")]).mermaid()
    assert "accTitle: uts namespaces" in text
    assert "accDescr: this notebook, pid 7, is in uts:[1] with host name lab" in text


def test_processes_in_one_namespace_point_to_one_node() -> None:
    members = [Member("a", 1, "pid:[1]", ""), Member("b", 2, "pid:[1]", "")]
    text = graph("pid", members).mermaid()
    assert "p0 --> n0" in text and "p1 --> n0" in text and "n1" not in text


def test_namespaces_side_by_side() -> None:
    with labrt.run("busybox", ["sleep", "600"]) as box:
        lines = labrt.compare_namespaces(box).text.splitlines()[2:]
    answers = {line.split()[0]: line.split("  ")[-1] for line in lines}
    assert answers["time"] == "shared"
    assert {kind for kind, answer in answers.items() if answer.strip() == "its own"} == {
        "user", "mnt", "pid", "net", "ipc", "uts", "cgroup",
    }  # fmt: skip


def test_a_process_that_has_ended_is_told_so() -> None:
    with labrt.run("busybox", ["true"]) as ended:
        ended.wait_undone()
        assert "not readable" in labrt.diagram("uts", ended).text
        assert "unknown" in labrt.compare_namespaces(ended).text
