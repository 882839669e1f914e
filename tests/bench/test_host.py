"""bench/host.py: what must be known of a machine, and nothing about its owner."""

from __future__ import annotations

import getpass
import json
import os
import socket
from typing import Any

import pytest

from bench import host


@pytest.fixture(scope="module")
def found() -> dict[str, Any]:
    return host.fingerprint({"accelerator": "tcg", "reason": "", "module": None})


def test_it_is_plain_json_and_has_what_a_reader_must_know(found: dict[str, Any]) -> None:
    assert json.loads(json.dumps(found)) == found
    assert found["kernel"]["release"] == os.uname().release
    assert found["memory"]["total"] > 0
    assert found["cpu"]["usable"] >= 1
    assert found["cgroups"]["kind"] in ("v1", "v2", "hybrid", "none")
    assert found["versions"]["python"].startswith("3.")
    assert {"qemu", "libvirt", "busybox", "scipy", "lab", "guest_kernel"} <= set(found["versions"])


def test_it_names_neither_the_machine_nor_its_user(found: dict[str, Any]) -> None:
    text = json.dumps(found)
    assert socket.gethostname() not in text
    assert os.path.expanduser("~") not in text
    assert os.geteuid() == 0 or getpass.getuser() not in text


def test_the_same_host_has_the_same_identity(found: dict[str, Any]) -> None:
    again = host.fingerprint({"accelerator": "kvm"})
    assert again["id"] == found["id"]
    little_more = found | {"memory": {"total": found["memory"]["total"] + 4096}}
    assert host.identity(little_more) == found["id"]


@pytest.mark.parametrize("part", ["kernel", "distribution", "cpu", "cgroups"])
def test_another_host_has_another_identity(found: dict[str, Any], part: str) -> None:
    assert host.identity(found | {part: "another"}) != found["id"]


def test_one_line_describes_it(found: dict[str, Any]) -> None:
    line = host.describe(found)
    assert "\n" not in line
    assert found["kernel"]["release"] in line
