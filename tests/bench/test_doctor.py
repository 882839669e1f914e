"""`./lab doctor` tells what is there, and a remedy for whatever isn't."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from bench import checks, doctor
from bench.checks import Finding

ROOT = Path(__file__).parent.parent.parent
# The supervisor that the tests run under has told them of a hidden /dev/kvm; the doctor isn't told.
UNTOLD = {name: value for name, value in os.environ.items() if name != "LAB_KVM_HIDDEN"}


def run(*arguments: str, prefix: tuple[str, ...] = (), **environment: str) -> str:
    """Run the doctor as users do, in another process; return what it prints."""
    done = subprocess.run(
        [*prefix, sys.executable, "-m", "bench.doctor", *arguments],
        env={**UNTOLD, "PYTHONPATH": str(ROOT), **environment},
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode in (0, 1), done.stderr
    assert not done.stderr
    return done.stdout


def found(text: str) -> dict[str, Finding]:
    """Read the doctor's JSON: topic → finding."""
    return {check["topic"]: Finding(**check) for check in json.loads(text)["checks"]}


def test_every_finding_is_fine_or_has_a_remedy() -> None:
    for check in checks.CHECKS:
        finding = check()
        assert finding.found
        assert bool(finding.remedy) == (finding.state != "ok"), finding


def test_it_needs_nothing_but_python() -> None:
    code = f"import sys; sys.path.insert(0, {str(ROOT)!r}); import bench.doctor"
    subprocess.run([sys.executable, "-I", "-S", "-c", code], check=True)


def test_before_set_up_it_names_what_set_up_will_bring(tmp_path: Path) -> None:
    home = tmp_path / "home"
    answers = found(run("--json", LAB_HOME=str(home)))
    for topic in ("guest kernel", "base image", "accelerator"):
        assert answers[topic].state == "missing"
        assert "./lab setup" in answers[topic].remedy
    assert not home.exists(), "the doctor looks, it doesn't make"


def test_it_leaves_nothing_behind(tmp_path: Path) -> None:
    run(LAB_HOME=str(tmp_path))
    assert list(tmp_path.iterdir()) == []


def test_a_wrong_kernel_is_named(tmp_path: Path) -> None:
    (tmp_path / "vmlinuz").write_text("not a kernel")
    answer = found(run("--json", LAB_KERNEL=str(tmp_path / "vmlinuz")))["guest kernel"]
    assert answer.state == "missing"
    assert "not a bzImage" in answer.found


def test_forbidden_user_namespaces_come_with_the_sysctl(tmp_path: Path) -> None:
    """Inside a user namespace of our own we may set the limit without touching the host's."""
    forbid = 'echo 0 >/proc/sys/user/max_user_namespaces && exec "$@"'
    prefix = ("unshare", "--user", "--map-root-user", "sh", "-c", forbid, "sh")
    answer = found(run("--json", prefix=prefix))["user namespaces"]
    assert answer.state == "missing"
    assert "ENOSPC" in answer.found
    assert "user.max_user_namespaces" in answer.remedy


def test_an_unwritable_home_is_named() -> None:
    answer = found(run("--json", LAB_HOME="/proc/lab"))["overlayfs"]
    assert answer.state == "missing"
    assert "LAB_HOME" in answer.remedy


def test_an_accelerator_that_is_none_is_named() -> None:
    answer = found(run("--json", LAB_ACCEL="warp"))["accelerator"]
    assert answer.state == "missing"
    assert "LAB_ACCEL=warp" in answer.found


def test_a_limit_is_no_hindrance_but_a_hole_is() -> None:
    fine = Finding("a", "ok", "there")
    limited = Finding("b", "limited", "half of it", "more")
    missing = Finding("c", "missing", "nothing", "get one")
    assert doctor.can_run([fine, limited])
    assert not doctor.can_run([fine, limited, missing])
    assert "missing: c" in doctor.verdict([fine, limited, missing])


def test_the_lines_are_aligned_and_plain_unless_on_a_terminal() -> None:
    findings = [Finding("a", "ok", "there"), Finding("long topic", "missing", "nothing", "get one")]
    plain = doctor.as_text(findings, colour=False)
    first, second, remedy, *_ = plain.splitlines()
    assert first.index("there") == second.index("nothing") == remedy.index("remedy")
    assert "\033" not in plain
    assert "\033[31m" in doctor.as_text(findings, colour=True)


@pytest.mark.parametrize("locale", ["C", "en_US.ISO-8859-1"])
def test_it_prints_in_any_locale(locale: str) -> None:
    assert "Python" in run(LC_ALL=locale, PYTHONIOENCODING="ascii")
