"""Nothing leaks: every step of every way to begin is made to fail and to die, and nothing is left.

`fault_driver.py` does it, driven by the recipes themselves, so a new step is covered without anyone
remembering; a new way to begin is one more row of its `MODES`.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

from labrt import paths, state
from labrt.declare import declare
from labrt.images import store
from tests.labrt import fault_driver
from tests.labrt.conftest import needs_root

# A mode is some two hundred starts: an hour in an emulated guest on a busy host. What hangs is
# ended by the driver's own deadline.
pytestmark = pytest.mark.timeout(3600)

ROOT = Path(__file__).parent.parent.parent
NORMAL_USER = 54321  # an id that nobody has


class Fault(NamedTuple):
    """One line of the driver: what the start raised (None: nothing), what it left."""

    step: str
    way: str
    raised: str | None
    left: list[str]


def has_bridges() -> bool:
    network = declare(store.resolve("busybox"), ["true"], network="bridge").network
    return network is not None and network.mode == "bridge"


def drive(mode: str, home: Path, user: int) -> list[Fault]:
    """Run the driver as `user`, in a home of its own."""
    place = {"LAB_HOME": str(home / "home"), "LAB_RUN": str(home / "run")}
    done = subprocess.run(
        [sys.executable, "-m", "tests.labrt.fault_driver", mode, *fault_driver.WAYS],
        capture_output=True,
        text=True,
        env={**os.environ, **place, "PYTHONPATH": str(ROOT), "PYTHONDONTWRITEBYTECODE": "1"},
        **({} if user == os.geteuid() else {"user": user, "group": user, "extra_groups": []}),
    )
    assert done.returncode == 0, done.stderr
    return [Fault(*json.loads(line)) for line in done.stdout.splitlines()]


def cases() -> Iterator[object]:
    """Every mode for this user, and again for a normal one; the usual ways to begin always."""
    for mode in fault_driver.MODES:
        slow = [pytest.mark.slow] if mode in ("privileged", "start_created", "bundle") else []
        yield pytest.param((mode, os.geteuid()), id=mode, marks=slow)
        if mode == "bundle_create":  # engines of a normal user are root of a user namespace
            slow = [pytest.mark.slow]
        if mode != "bridge":
            yield pytest.param(
                (mode, NORMAL_USER), id=f"{mode}-rootless", marks=[*slow, needs_root]
            )


@pytest.fixture(scope="module", params=cases())
def faults(request: pytest.FixtureRequest) -> Iterator[list[Fault]]:
    mode, user = request.param
    if mode == "bridge" and (os.geteuid() != 0 or not has_bridges()):
        pytest.skip("bridges take root, and a network that makes them")
    folder = paths.home().parent / f"faults-{mode}-{user}"
    folder.mkdir()
    if user != os.geteuid():
        folder.parent.chmod(0o711)
        os.chown(folder, user, user)
    yield drive(mode, folder, user)
    state.remove_tree(folder)


def test_every_step_was_made_to_fail_and_to_die(faults: list[Fault]) -> None:
    failed = [fault.step for fault in faults if fault.way == "fail"]
    died = [fault.step for fault in faults if fault.way == "die"]
    assert failed == died
    assert failed


def test_a_failed_step_is_named_with_the_kernels_answer(faults: list[Fault]) -> None:
    for fault in faults:
        if fault.way == "fail":
            assert str(fault.raised).startswith(f"{fault.step}: "), fault
            assert "EIO: Input/output error" in str(fault.raised), fault


def test_nothing_is_left_whatever_step_fails_or_dies(faults: list[Fault]) -> None:
    assert [fault for fault in faults if fault.left] == []
