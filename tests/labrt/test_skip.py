"""--skip: each step is left out alone; what is vital is refused, and the host is as it was."""

from __future__ import annotations

import json
import os
import re
import socket
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

import labrt
from labrt import cgroups
from labrt.declare import declare
from labrt.errors import LabError
from labrt.images import store
from labrt.recipe import entering, recipe
from labrt.spec import Namespace, Spec
from labrt.step import Step
from tests.labrt.conftest import needs_root

ROOT = Path(__file__).parent.parent.parent

pytestmark = pytest.mark.usefixtures("nothing_left")


def wishes() -> dict[str, Any]:
    """As many options as make a step of their own."""
    limits = {} if cgroups.unavailable() else {"memory": "64m", "cpus": "1", "pids_limit": "32"}
    return {
        **limits,
        "ulimit": ["nofile=64"],
        "oom_score_adj": "900",
        "init": True,
        "read_only": True,
        "name": "skipping",
        "hostname": "skipping",
    }


@pytest.fixture(scope="module")
def steps(home: Path) -> dict[str, Step]:
    spec = declare(store.resolve("busybox"), ["true"], **wishes())
    return {step.name: step for step in recipe(spec)}


def host() -> tuple[object, ...]:
    """What a container must not change."""
    ours = [os.readlink(link) for link in sorted(Path("/proc/self/ns").iterdir())]
    mounts = Path("/proc/self/mountinfo").read_text()
    return mounts, socket.gethostname(), ours, sorted(os.listdir("/dev")), os.getcwd()


def test_each_step_left_out_is_refused_or_runs_or_fails_in_one_line(steps: dict[str, Step]) -> None:
    before = host()
    for name, step in steps.items():
        try:
            with labrt.run("busybox", ["true"], skip=[name], **wishes()) as c:
                assert not step.vital, name
                assert c.wait(30) == 0, name
                assert name not in [timed.name for timed in c.trace]
        except LabError as error:
            assert "\n" not in str(error)
            assert "Error(" not in str(error), "an exception of Python's is no answer"
            if step.vital:
                assert str(error) == f"skip the step {name!r}: without it, {step.vital}"
        assert host() == before, name


def test_most_steps_can_be_left_out_to_learn_from(steps: dict[str, Step]) -> None:
    learned = {name for name, step in steps.items() if not step.vital}
    assert {"SetHostname", "MaskPath", "DropBoundingSet", "LoadSeccomp", "RaiseLoopback"} <= learned


def test_without_the_step_its_effect_is_missing() -> None:
    def said(*skipped: str) -> str:
        return labrt.output("busybox", ["sh", "-c", "hostname"], hostname="mine", skip=skipped)

    assert said() == "mine\n"
    assert said("SetHostname") == f"{socket.gethostname()}\n"


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("nosuch", "no such step. Remedy: labrt explain lists them$"),
        ("PivotRoo", "near it are PivotRoot"),
        ("SetRlimits", "this container has no such step"),
    ],
)
def test_an_unknown_step_is_refused_with_its_like(name: str, said: str) -> None:
    with pytest.raises(LabError, match=said):
        labrt.run("busybox", ["true"], skip=[name])


def test_where_the_host_is_shared_every_step_guards_it() -> None:
    spec = declare(store.resolve("busybox"), ["true"], skip=("SetHostname",))
    others = tuple(ns for ns in spec.namespaces if ns.type != "user")
    for shared in (others, (*others, Namespace("user", "/proc/1/ns/user"))):
        with pytest.raises(LabError, match="every step guards the host"):
            recipe(replace(spec, namespaces=shared))


def test_one_more_process_skips_the_same() -> None:
    spec = declare(store.resolve("busybox"), ["true"], skip=("SetUmask",))
    assert "SetUmask" not in [step.name for step in entering(spec, os.getpid())]


SHARED_MOUNTS = """
import sys
from pathlib import Path
from labrt import container
from labrt.declare import declare
from labrt.images import store
spec = declare(store.resolve("busybox"), ["sleep", "60"])
whole = container.recipe
container.recipe = lambda spec: [s for s in whole(spec) if s.name != "MakeMountsPrivate"]
seen = lambda: Path("/proc/self/mountinfo").read_text()
before = seen()
assert "shared:" in before
with container.start(spec) as running:
    assert "overlay" in Path(f"/proc/{running.pid}/mountinfo").read_text()
    assert seen() == before
"""


@needs_root
def test_a_user_namespaces_mounts_reach_no_host_even_where_its_mounts_are_shared() -> None:
    """mount_namespaces(7): mounts copied for a less privileged namespace are slaves."""
    own = ["unshare", "--mount", "--propagation", "shared"]
    done = subprocess.run(
        [*own, sys.executable, "-c", SHARED_MOUNTS],
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )
    assert done.returncode == 0, done.stderr


def test_a_spec_from_elsewhere_is_checked_as_well() -> None:
    spec = declare(store.resolve("busybox"), ["true"])
    text = json.dumps(replace(spec, skipped=("PivotRoot",)), default=vars)
    with pytest.raises(LabError, match=re.escape("'PivotRoot': without it")):
        recipe(Spec.from_json(json.loads(text)))
