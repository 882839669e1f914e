"""labrt/lessons/linked.py: a program, and what it needs, in two trees."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from labrt.errors import LabError
from labrt.lessons.linked import lay_out, needed


def test_the_program_runs_with_both_trees_and_not_with_one(tmp_path: Path) -> None:
    libraries = lay_out("/bin/cat", tmp_path)
    assert any(name.startswith("libc.so") for name in libraries)
    enter = ["unshare", "--user", "--map-root-user", "--root", tmp_path / "program"]
    alone = subprocess.run([*enter, "/bin/cat"], capture_output=True, text=True)
    assert alone.returncode != 0 and libraries[0] in alone.stderr
    subprocess.run(["cp", "-r", f"{tmp_path}/libraries/.", f"{tmp_path}/program"], check=True)
    assert subprocess.run(
        [*enter, "/bin/cat", "/bin/cat"], stdout=subprocess.PIPE, check=True
    ).stdout


def test_a_static_program_needs_none() -> None:
    with pytest.raises(LabError, match="it needs none"):
        needed("/bin/busybox")
