"""`./lab bench claims`, with real subjects: of a run that is there, and of one made for it."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from bench.observations import ROWS
from bench.subjects.base import Workload
from tests.bench.conftest import needs_cgroups

SUBJECTS = ("--subjects", "process,labrt")


def bench(*arguments: str | Path, timeout: float = 100) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "bench", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, timeout=timeout)


def verdicts(folder: Path) -> dict[str, dict[str, Any]]:
    return {each["id"]: each for each in json.loads((folder / "claims.json").read_text())["claims"]}


@needs_cgroups
def test_a_run_that_is_there_is_judged_by_its_rows(
    workload: Workload, nothing_left: None, tmp_path: Path
) -> None:
    done = bench("isolation", "startup", *SUBJECTS, "--n", "2", "--out", tmp_path)
    assert done.returncode == 0, done.stderr
    folder = tmp_path / "latest"
    rows = (folder / ROWS).read_text()
    done = bench("claims", folder)
    assert done.returncode == 0, done.stderr
    assert (folder / ROWS).read_text() == rows
    found = verdicts(folder)
    assert found["C19"]["verdict"] == "holds"
    assert found["C19"]["n"] == {"labrt": 1, "process": 1}
    assert found["C04"]["verdict"] == "holds with a limit"
    assert "Is its kernel the host's" in found["C04"]["limits"][0]
    assert found["C23"]["verdict"] == "not measured", "there is no VM to compare with"
    assert (
        "## C19 · Groups of processes can't see one another" in (folder / "claims.md").read_text()
    )
    assert "holds with a limit" in done.stdout
    assert "The claims" in (folder / "report.html").read_text()


def test_a_folder_without_a_run_is_one_line(tmp_path: Path) -> None:
    done = bench("claims", tmp_path)
    assert done.returncode == 1
    (line,) = done.stderr.splitlines()
    assert "observations.jsonl" in line
    assert list(tmp_path.iterdir()) == []


@pytest.mark.slow
@pytest.mark.timeout(600)
@needs_cgroups
def test_without_a_run_all_that_the_claims_need_is_measured(
    workload: Workload, nothing_left: None, tmp_path: Path
) -> None:
    done = bench("claims", *SUBJECTS, "--n", "6", "--json", "--out", tmp_path, timeout=590)
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout[done.stdout.index('{\n  "run"') :])
    assert {each["id"]: each for each in told["claims"]} == verdicts(tmp_path / "latest")
    found = verdicts(tmp_path / "latest")
    assert found["C20"]["verdict"] in ("holds", "holds with a limit")
    assert found["C24"]["n"]["labrt"] == 6
    assert (tmp_path / "latest" / "report.html").exists()
