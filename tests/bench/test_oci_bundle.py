"""bench/oci_bundle.py: the bundle is the spec, in the runtime specification's words."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path

import pytest

from bench import oci_bundle
from bench.oci_runtime import runc
from bench.subjects.base import Workload
from labrt import cgroups
from labrt.declare import declare
from labrt.errors import LabError
from labrt.images import store
from labrt.options import given
from labrt.spec import Spec

pytestmark = pytest.mark.skipif(
    runc.unavailable() is not None or os.geteuid() != 0 or cgroups.unavailable() is not None,
    reason=f"needs root, cgroups and runc: {runc.unavailable() or cgroups.unavailable()}",
)

# What a container is, as it sees itself.
LOOK = """
cat /proc/self/uid_map /proc/self/gid_map
grep -E '^(Cap|NoNewPrivs|Seccomp:)' /proc/self/status
awk '{print $5, $9}' /proc/self/mountinfo | grep -E '^/(proc|sys|dev)' | sort
hostname; umask; pwd; id -u
"""


@pytest.fixture
def spec(workload: Workload) -> Spec:
    limits = {"memory": "64m", "cpus": 0.5, "pids_limit": 32}
    return declare(store.resolve(workload.image), ["sh", "-c", LOOK], given(**limits))


def told_by_runc(bundle: Path) -> str:
    command = ["runc", "--root", bundle / "state", "run", "--no-new-keyring", "-b", bundle]
    found = subprocess.run([*command, bundle.name], capture_output=True, text=True, timeout=60)
    assert found.returncode == 0, found.stderr
    return found.stdout


def told_by_labrt(spec: Spec) -> str:
    import labrt

    limits = {"memory": "64m", "cpus": 0.5, "pids_limit": 32}
    return labrt.output("busybox", list(spec.process.args), hostname=spec.hostname, **limits)


def test_runc_makes_the_same_container_of_it(spec: Spec) -> None:
    with oci_bundle.mounted(spec) as bundle:
        assert told_by_runc(bundle).splitlines() == told_by_labrt(spec).splitlines()


def test_limits_are_said_by_the_names_that_serve_both_cgroups(spec: Spec) -> None:
    resources = oci_bundle.config(spec)["linux"]["resources"]
    assert resources == {
        "memory": {"limit": 64 * 2**20},
        "cpu": {"quota": 50000, "period": 100000},
        "pids": {"limit": 32},
    }


def test_a_limit_it_has_no_word_for_is_refused(workload: Workload) -> None:
    spec = declare(store.resolve(workload.image), ["true"], given(cpu_shares=512))
    with pytest.raises(LabError, match=r"cpu\.weight"):
        oci_bundle.config(spec)


def test_only_the_seccomp_rules_that_hold_are_in_it(spec: Spec) -> None:
    rules = oci_bundle.config(spec)["linux"]["seccomp"]["syscalls"]
    assert rules
    assert not any({"includes", "excludes"} & set(rule) for rule in rules)
    allowed = [rule for rule in rules if rule["action"] == "SCMP_ACT_ALLOW" and "args" not in rule]
    names = {name for rule in allowed for name in rule["names"]}
    assert "read" in names
    assert "mount" not in names  # only with CAP_SYS_ADMIN


def test_nothing_is_left_of_it(spec: Spec) -> None:
    before = Path("/proc/self/mountinfo").read_text()
    with pytest.raises(ZeroDivisionError), oci_bundle.mounted(spec) as bundle:
        assert json.loads((bundle / "config.json").read_text())["hostname"] == spec.hostname
        1 / 0  # noqa: B018
    assert not bundle.exists()
    assert Path("/proc/self/mountinfo").read_text() == before
