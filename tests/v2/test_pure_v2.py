"""What touches the kernel, tested again in a guest that has cgroup v2 and nothing else.

Most hosts have v2 alone, this one may not: the same tests must pass on both. Each test of the
guest is a subtest here, once as root and once as a user without rights.
"""

from __future__ import annotations

import xml.etree.ElementTree as ElementTree
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.v2 import guest
from tests.v2.ahead import Ahead
from tests.v2.beside import ROOT, Beside
from tests.v2.guest import Outcome

# Images and most lessons don't care how cgroups are mounted: the host's run of their tests is
# enough. So it is for what ends before any kernel feature is asked for.
ENDS_BEFORE = ("bad_input", "image_commands")
EVERY = [
    str(file.relative_to(ROOT))
    for file in sorted((ROOT / "tests/labrt").glob("test_*.py"))
    if file.stem.removeprefix("test_") not in ENDS_BEFORE
]
# The guest is some ten times slower: what is about cgroups is run always, the others with --all.
ABOUT_CGROUPS = [
    f"tests/labrt/test_{name}.py" for name in ("cgroups", "limits", "usage", "container")
]
# crun refuses a host with both, and Podman takes crun where it may.
RUN_BY = "(runc)or(crun)or(podman)or(bubblewrap)or(nspawn)or(rootless)"
# Whom an ordinary user can't run is told by the second file.
FILES = [f"tests/bench/subjects/test_{name}.py" for name in ("containers", "unavailable")]
SUBJECTS = [*FILES, "-k", RUN_BY]
# The lessons about cgroups, solved and as the student gets them (no blanks here either).
ALL = ["-m", "(slow)or(not(slow))"]
LESSONS = [
    [
        "tests/notebooks/test_notebooks.py",
        *ALL,
        "-k",
        "or".join(f"({lesson.stem})" for lesson in part),
    ]
    for part in (
        sorted((ROOT / "notebooks").glob("1[0-2]_*.ipynb")),
        sorted((ROOT / "notebooks").glob("1[3-5]_*.ipynb")),
    )
]
FAULTS = ["tests/labrt/test_faults.py"]  # as much as all others together
# The engines themselves need more of a host than the guest has. Each verb is a new Python, seconds
# in the guest: of the verbs, what is about cgroups is enough.
USES_CGROUPS = "(a_life)or(in_the_wrong)or(by_force)or(paused)or(update)or(events)or(exec_runs)"
OCI = [*(f"tests/labrt/oci/test_{name}.py" for name in ("lifecycle", "verbs")), "-k", USES_CGROUPS]
BUNDLES = [f"tests/labrt/bundle/test_{name}.py" for name in ("declaring", "done", "hostile")]
SYSTEMD = ["tests/labrt/oci/test_scopes.py", *ALL]
OTHERS = [file for file in EVERY if file not in ABOUT_CGROUPS + FAULTS]
BOOTS = 3  # for the others: a guest that dies or hangs takes only its own part along
DEADLINE = 600.0  # seconds, boot included
DEADLINE_OF_OTHERS = 5400.0

pytestmark = pytest.mark.timeout(DEADLINE_OF_OTHERS + 60)


@dataclass(frozen=True)
class Result:
    """What the guest left: its output, and the folder it wrote to; and what it was to test."""

    outcome: Outcome
    shared: Path
    tests: list[str]


@pytest.fixture(
    scope="module",
    params=[
        pytest.param((ABOUT_CGROUPS, DEADLINE), id="cgroups"),
        pytest.param((SUBJECTS, DEADLINE_OF_OTHERS), id="subjects", marks=pytest.mark.slow),
        *(
            pytest.param((tests, DEADLINE_OF_OTHERS), id=f"lessons-{part}", marks=pytest.mark.slow)
            for part, tests in enumerate(LESSONS, 1)
        ),
        pytest.param((FAULTS, DEADLINE_OF_OTHERS), id="faults", marks=pytest.mark.slow),
        pytest.param((OCI, DEADLINE_OF_OTHERS), id="oci", marks=pytest.mark.slow),
        pytest.param((BUNDLES, DEADLINE_OF_OTHERS), id="bundles", marks=pytest.mark.slow),
        pytest.param((SYSTEMD, DEADLINE), id="systemd", marks=pytest.mark.slow),
        *(
            pytest.param(
                (OTHERS[part::BOOTS], DEADLINE_OF_OTHERS),
                id=f"others-{part + 1}",
                marks=pytest.mark.slow,
            )
            for part in range(BOOTS)
        ),
    ],
)
def result(request: pytest.FixtureRequest, ahead: Ahead | None) -> Iterator[Result]:
    """Boot the guest once for each part; its lines are shown as they come, late ones at once."""
    if reason := guest.unavailable():
        pytest.skip(reason)
    tests, deadline = request.param
    capture = request.config.pluginmanager.getplugin("capturemanager")
    with (ahead and ahead.take(tests)) or Beside(tests, deadline) as running:
        with capture.global_and_fixture_disabled():
            print()  # the dots of pytest's progress stand on this line
            outcome = running.outcome(_show)
        yield Result(outcome, running.shared, tests)


def test_the_guest_boots_and_ends_in_time(result: Result) -> None:
    assert result.outcome.status == 0, result.outcome.output + result.outcome.console[-4000:]


def test_the_guest_has_every_controller_in_v2(result: Result) -> None:
    controllers = (result.shared / "controllers").read_text().split()
    assert {"cpu", "memory", "pids", "io", "cpuset"} <= set(controllers)


def test_the_kernel_facing_part_passes_as_root(result: Result, subtests: pytest.Subtests) -> None:
    _report(result, "root", subtests)


def test_the_kernel_facing_part_passes_as_an_ordinary_user(
    result: Result, subtests: pytest.Subtests
) -> None:
    if (result.shared / "unreadable").exists():
        pytest.skip((result.shared / "unreadable").read_text().strip())
    _report(result, "user", subtests)


def _report(result: Result, who: str, subtests: pytest.Subtests) -> None:
    junit = result.shared / who / "junit.xml"
    assert junit.exists(), f"no test report from the guest:\n{result.outcome.output[-4000:]}"
    assert (result.shared / who / "status").read_text() in ("0\n", "1\n"), result.outcome.output
    cases = list(ElementTree.parse(junit).getroot().iter("testcase"))
    assert cases, f"the guest found no tests in {', '.join(result.tests)}"
    for case in cases:
        with subtests.test(f"{case.get('classname')}::{case.get('name')}"):
            skipped = case.find("skipped")
            if skipped is not None:
                pytest.skip(skipped.get("message") or "")
            failed = [*case.iter("failure"), *case.iter("error")]
            assert not failed, "\n".join(failure.text or "" for failure in failed)


def _show(line: str) -> None:
    print(f"  v2 guest: {line}", flush=True)
