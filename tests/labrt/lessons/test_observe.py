"""What the lessons see of the kernel's state."""

from __future__ import annotations

import os
import subprocess

import pytest

import labrt
from labrt.lessons import observe

pytestmark = pytest.mark.usefixtures("nothing_left")


def test_a_container_as_the_host_sees_it() -> None:
    with labrt.run("busybox", ["sleep", "600"], hostname="box") as container:
        assert observe.containers() == [container.pid]
        assert observe.command(container.pid) == ["sleep", "600"]
        assert observe.name(container.pid) == "sleep"
        assert observe.hostname(container.pid) == "box"
        assert observe.pids(container) == [container.pid, 1]
        assert observe.namespace(container.pid, "uts") != observe.namespace("self", "uts")
    assert observe.containers() == []


def test_this_process() -> None:
    assert observe.hostname(os.getpid()) == os.uname().nodename
    assert observe.pids(os.getpid())[0] == os.getpid()
    assert observe.namespace("self", "uts") == os.readlink("/proc/self/ns/uts")
    assert os.getpid() in observe.processes()


def test_a_process_that_has_ended_is_none_or_empty() -> None:
    with subprocess.Popen(["true"]) as process:
        process.wait()
    pid = process.pid
    assert observe.namespace(pid, "uts") is None
    assert observe.namespaces_of(pid) is None
    assert observe.hostname(pid) is None
    assert (observe.command(pid), observe.name(pid), observe.pids(pid)) == ([], "", [])


def test_descendants_are_children_and_theirs() -> None:
    script = "sleep 600 & echo $!; wait"
    with subprocess.Popen(["sh", "-c", script], stdout=subprocess.PIPE, text=True) as shell:
        assert shell.stdout is not None
        grandchild = int(shell.stdout.readline())
        assert {shell.pid, grandchild} <= set(observe.descendants(os.getpid()))
        os.kill(grandchild, 9)


def test_strangers_are_neither_here_nor_in_a_container() -> None:
    apart = [
        "unshare",
        "--user",
        "--map-root-user",
        "--uts",
        "sh",
        "-c",
        "echo ready; exec sleep 60",
    ]
    with labrt.run("busybox", ["sleep", "600"]) as box:
        with subprocess.Popen(apart, stdout=subprocess.PIPE) as stranger:
            assert stranger.stdout is not None
            stranger.stdout.readline()
            found = observe.strangers("uts")
            stranger.kill()
        assert stranger.pid in found
        assert not {box.pid, os.getpid()} & set(found)


def test_a_process_weighs_something_until_it_has_ended() -> None:
    with subprocess.Popen(["sleep", "600"]) as process:
        assert 0 < observe.weight(process) < 100 << 20
        process.kill()
        process.wait()
        assert observe.weight(process) == 0
