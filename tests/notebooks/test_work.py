"""notebooks/work.py: lessons copied into a folder of one's own, and never over what is there."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from notebooks import work

ROOT = Path(__file__).parent.parent.parent
LESSONS = sorted(path.name for path in (ROOT / "notebooks").glob("*.ipynb"))


def test_an_empty_folder_gets_every_lesson_as_it_is(tmp_path: Path) -> None:
    assert work.fill(tmp_path / "work") == LESSONS
    for name in LESSONS:
        copied, own = tmp_path / "work" / name, ROOT / "notebooks" / name
        assert copied.read_bytes() == own.read_bytes()


def test_what_is_there_stays_and_what_is_missing_comes(tmp_path: Path) -> None:
    work.fill(tmp_path)
    (tmp_path / "02_uts.ipynb").write_text("my answers")
    (tmp_path / "04_pid.ipynb").unlink()
    assert work.fill(tmp_path) == ["04_pid.ipynb"]
    assert (tmp_path / "02_uts.ipynb").read_text() == "my answers"


def run(*words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "notebooks.work", *words],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
    )


def test_without_a_folder_nothing_is_copied_anywhere() -> None:
    done = run("")
    assert done.returncode == 1
    assert done.stderr == (
        "lab: notebooks --work: no folder is named. Remedy: notebooks --work DIR\n"
    )


def test_a_folder_that_can_t_be_is_told_in_one_line(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    done = run(str(tmp_path / "file"))
    assert done.returncode == 1
    assert done.stderr.count("\n") == 1
    assert "Remedy: name a folder that you may write to" in done.stderr
