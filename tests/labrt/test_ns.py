"""`labrt ns`: the tree of namespaces is the kernel's (labrt/namespace_tree.py, commands/ns.py)."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator

import pytest

import labrt
from labrt import cli, namespace_tree, namespaces, nsfs
from labrt.commands import ns
from labrt.namespace_tree import Space, Tree
from labrt.spec import IdMapping
from tests.labrt.conftest import needs_root

pytestmark = pytest.mark.usefixtures("nothing_left")

NAME = "web-in-tree"


@pytest.fixture
def web() -> Iterator[labrt.Container]:
    with labrt.run("busybox", ["sleep", "60"], name=NAME, rm=True) as c:
        yield c


def number(link: str) -> int:
    """The number in "uts:[4026531838]"."""
    return int(re.sub(r"\D", "", link.partition(":")[2]))


def test_every_namespace_of_a_process_is_found_with_its_number(web: labrt.Container) -> None:
    tree = namespace_tree.read()
    for kind, file in nsfs.FILES.items():
        (found,) = (s for s in tree.spaces if s.type == kind and web.pid in s.processes)
        assert found.number == number(namespaces.read(web.pid)[file])


def test_a_containers_namespaces_are_owned_by_its_user_namespace(web: labrt.Container) -> None:
    tree = namespace_tree.read()
    its, ours = (number(namespaces.read(pid)["user"]) for pid in (web.pid, "self"))
    owned = {space.type for space in tree.below(its)}
    assert owned == {"mount", "pid", "network", "ipc", "uts", "cgroup"}
    (user,) = (space for space in tree.below(ours) if space.number == its)
    assert (user.containers, user.processes) == ((NAME,), (web.pid,))
    assert (user.made_by, user.command) == (os.geteuid(), "sleep 60")


@needs_root
def test_a_user_namespace_tells_who_its_users_are_outside(web: labrt.Container) -> None:
    its = number(namespaces.read(web.pid)["user"])
    (user,) = (space for space in namespace_tree.read().spaces if space.number == its)
    assert user.uid_map == web.spec.uid_mappings


def test_what_is_shared_is_one_namespace_with_both_containers(web: labrt.Container) -> None:
    with labrt.run("busybox", ["sleep", "60"], uts=f"container:{NAME}", name="two", rm=True) as c:
        (shared,) = (
            space
            for space in namespace_tree.read().spaces
            if space.type == "uts" and c.pid in space.processes
        )
        assert set(shared.processes) == {web.pid, c.pid}
        assert set(shared.containers) == {NAME, "two"}


def test_of_one_process_there_is_all_it_is_in_and_the_way_up_to_our_own(
    web: labrt.Container, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main(["ns", NAME]) == 0
    lines = capsys.readouterr().out.splitlines()
    its, ours = (str(number(namespaces.read(pid)["user"])) for pid in (web.pid, "self"))
    assert lines[1].split()[:2] == ["user", ours]
    (row,) = (line for line in lines if its in line)
    assert row.startswith("└─ user")
    assert row.endswith(NAME)


def test_as_json_it_is_the_same_tree(
    web: labrt.Container, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main(["ns", "--json", str(web.pid)]) == 0
    spaces = json.loads(capsys.readouterr().out)["spaces"]
    found = {space["type"]: space for space in spaces if web.pid in space["processes"]}
    assert found["network"]["owner"] == found["user"]["number"]
    assert found["network"]["number"] == number(namespaces.read(web.pid)["net"])


@pytest.mark.parametrize(("who", "answer"), [("4194399", "ENOENT"), ("no-such", "none of this")])
def test_who_is_not_there_is_told_in_one_line(
    who: str, answer: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main(["ns", who]) == 125
    told = capsys.readouterr().err
    assert answer in told
    assert told.count("\n") == 1


def test_the_picture_is_a_tree_with_who_made_what() -> None:
    root = Space("user", 1, None, 0, (IdMapping(0, 0, 2**32 - 1),), (1, 7), "init")
    host = Space("uts", 2, 1, processes=(1,), command="init")
    inner = Space("user", 3, 1, 1000, (IdMapping(0, 1000, 1),), (7,), "sh -c " + "x" * 60, ("web",))
    mine = Space("network", 4, 3, processes=(7,), command="sh")
    empty = Space("user", 5, 1, 1000)
    assert ns.table(Tree((mine, inner, empty, host, root), hidden=3)).splitlines() == [
        "NAMESPACE      NUMBER  PROCESSES  FIRST PROCESS                             CONTAINERS",
        "user           1       2          1 init",
        "│    its ids are ours",
        "├─ uts         2       1          1 init",
        f"├─ user        3       1          7 sh -c {'x' * 31}…  web",
        "│  │    made by uid 1000; here its uid 0 is 1000",
        "│  └─ network  4       1          7 sh",
        "└─ user        5       0          nobody",
        "        made by uid 1000",
        "",
        "processes not shown, whose rights we lack (ptrace(2)): 3",
    ]


def test_a_hostile_command_line_cannot_paint_on_the_terminal() -> None:
    name = "\x1b]0;owned\x07"
    with labrt.run("busybox", ["sh", "-c", "sleep 60; true", name]) as c:
        found = namespace_tree.read().of([c.pid])
    (mount,) = (s for s in found.spaces if s.type == "mount")
    assert mount.command.endswith("?]0;owned?")
