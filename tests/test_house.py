"""The house is in order: style, types, the floors' import rules, the shell scripts.

Each is held by its own well-kept tool, configured in pyproject.toml; here they are only run.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
TOOLS = Path(sys.executable).parent
NOT_OURS = {".git", ".venv", "results"}


def run(*command: str | Path) -> None:
    """Run a tool in the house; its complaints are the test's message."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "NO_COLOR": "1"}
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, f"\n{done.stdout}{done.stderr}"


def shell_scripts() -> list[Path]:
    """Every file of the project that is named *.sh or begins with a shell's #! line."""
    ours = [path for path in ROOT.iterdir() if path.name not in NOT_OURS]
    files = [file for path in ours for file in ([path] if path.is_file() else path.rglob("*"))]
    return sorted(file for file in files if file.is_file() and _is_shell(file))


def _is_shell(file: Path) -> bool:
    if file.suffix == ".sh":
        return True
    with file.open("rb") as stream:
        first = stream.readline(80)
    return first.startswith(b"#!") and first.strip().endswith(b"sh")


def test_style() -> None:
    run(TOOLS / "ruff", "check", ".")


def test_format() -> None:
    run(TOOLS / "ruff", "format", "--check", ".")


@pytest.mark.timeout(300)  # the first run reads the types of every library
def test_types() -> None:
    run(TOOLS / "mypy")


def test_floors() -> None:
    run(TOOLS / "lint-imports", "--no-cache")


def test_shell_scripts() -> None:
    scripts = shell_scripts()
    assert ROOT / "lab" in scripts
    run("shellcheck", "-x", *scripts)


def test_dask_is_named_by_the_cluster_alone() -> None:
    """An optional extra: whoever doesn't ask for a cluster needs nothing of it."""
    named = re.compile(r"^\s*(import|from) (dask|distributed)\b", re.MULTILINE)
    ours = [*(ROOT / "bench").rglob("*.py"), *(ROOT / "labrt").rglob("*.py")]
    found = {file.parent for file in ours if named.search(file.read_text())}
    assert found == {ROOT / "bench" / "cluster"}


def test_jupyterhub_is_named_by_the_hub_alone() -> None:
    """Another: whoever has no class needs nothing of it."""
    named = re.compile(r"^\s*(import|from) jupyterhub\b", re.MULTILINE)
    ours = [file for part in ("bench", "labrt", "vagrant") for file in (ROOT / part).rglob("*.py")]
    found = {file.parent for file in ours if named.search(file.read_text())}
    assert found == {ROOT / "vagrant" / "hub"}


def test_nothing_is_pinned_twice_and_everything_once() -> None:
    """They hold exact versions, and never the same package."""
    names = []
    lists = ["constraints.txt", *(file.name for file in ROOT.glob("requirements*.txt"))]
    for file in lists:
        for line in (ROOT / file).read_text().splitlines():
            if requirement := line.partition("#")[0].strip():
                name, equals, version = requirement.partition("==")
                assert equals and version, f"{file}: {line!r} is not an exact version"
                names.append(name.lower().replace("_", "-"))
    assert len(names) == len(set(names))
