"""`./lab export` where there is nothing to export; what it fetches from a machine is in
test_machine.py and test_vagrant_up.py."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parent.parent.parent


def test_without_a_machine_it_says_so_and_leaves_no_file(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "vagrant.export", "--to", tmp_path / "work.tar"],
        cwd=ROOT,
        env={
            **os.environ,
            "PYTHONPATH": str(ROOT),
            "LAB_HOME": str(tmp_path / "home"),
            "VAGRANT_HOME": str(tmp_path / "vagrant"),
            "VAGRANT_DOTFILE_PATH": str(tmp_path / "dotfile"),
        },
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 1
    assert done.stderr.count("\n") == 1
    assert "Remedy: " in done.stderr
    assert not list(tmp_path.glob("*work.tar"))
