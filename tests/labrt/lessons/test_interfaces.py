"""labrt/lessons/interfaces.py: interfaces, their cables and bridges, as the kernel has them."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator

import pytest

import labrt
from labrt.lessons.entering import nsenter
from labrt.lessons.interfaces import cables, interfaces, network_picture

pytestmark = pytest.mark.usefixtures("nothing_left")


def ip(box: labrt.Container, words: str) -> None:
    subprocess.run([*nsenter(box, "net", root=True), "ip", *words.split()], check=True)


@pytest.fixture
def boxes() -> Iterator[list[labrt.Container]]:
    with (
        labrt.run("busybox", ["sleep", "60"]) as one,
        labrt.run("busybox", ["sleep", "60"], userns=f"pid:{one.pid}") as two,
        labrt.run("busybox", ["sleep", "60"], userns=f"pid:{one.pid}") as three,
    ):
        yield [one, two, three]


def test_a_new_network_is_a_loopback_alone(boxes: list[labrt.Container]) -> None:
    (only,) = interfaces(boxes[0])
    assert (only.name, only.kind, only.up, only.addresses) == ("lo", "", True, ("127.0.0.1/8",))


def test_two_cables_with_the_same_numbers_are_told_apart(boxes: list[labrt.Container]) -> None:
    """Each end is interface 2 of its namespace; the kernel's numbers alone wouldn't tell."""
    one, two, three = boxes
    ip(one, f"link add west type veth peer name east netns {two.pid}")
    with labrt.run("busybox", ["sleep", "60"], userns=f"pid:{one.pid}") as four:
        ip(three, f"link add north type veth peer name south netns {four.pid}")
        found = {str(n): interfaces(box) for n, box in enumerate((*boxes, four))}
    ends = [{end.name for _, end in pair} for pair in cables(found)]
    assert ends == [{"west", "east"}, {"north", "south"}]


def test_an_end_is_up_when_the_other_is(boxes: list[labrt.Container]) -> None:
    one, two, _ = boxes
    ip(one, f"link add west type veth peer name east netns {two.pid}")
    ip(one, "link set west up")
    assert not interfaces(one)[1].up
    ip(two, "link set east up")
    assert interfaces(one)[1].up


def test_the_picture_has_the_cable_and_the_bridge(boxes: list[labrt.Container]) -> None:
    one, two, _ = boxes
    ip(one, "link add br0 type bridge")
    ip(one, f"link add port type veth peer name eth0 netns {two.pid}")
    ip(one, "link set port master br0")
    number = {each.name: each.index for each in interfaces(one)}
    shown = network_picture(hub=one, end=two).markdown
    assert f'hub{number["port"]} -->|"cable"| end' in shown
    assert f'hub{number["port"]} -->|"port of"| hub{number["br0"]}' in shown


def test_a_network_that_is_gone_has_no_interfaces() -> None:
    with labrt.run("busybox", ["true"]) as ended:
        ended.wait_undone()
        assert interfaces(ended) == []
