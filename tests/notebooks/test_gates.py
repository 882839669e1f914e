"""What a lesson needs, both ways.

Where a program is missing, the first cell says so with the remedy, and the rest of the lesson
works; where it is there, the first cell says that.
"""

from __future__ import annotations

import os
import re

import nbformat
import pytest

from tests.notebooks.classroom import ROOT, allowed, student, text_of

slow = pytest.mark.slow
GATES = [
    ("05_ipc", "qemu-system-x86_64", "boot a virtual machine", "./lab setup"),
    *(
        pytest.param(lesson, "nsenter", "nsenter", "util-linux", marks=slow)
        for lesson in ("02_uts", "04_pid", "05_ipc", "09_time", "23_taken_apart")
    ),
    pytest.param("00_ten_minute_container", "ps", "ps", "procps", marks=slow),
    pytest.param("18_build_registry_run", "docker-registry", "registry", "install", marks=slow),
]


@pytest.mark.timeout(300)
@pytest.mark.parametrize(("lesson", "program", "need", "remedy"), GATES)
def test_a_lesson_without_one_of_its_programs_says_so_and_goes_on(
    lesson: str, program: str, need: str, remedy: str
) -> None:
    path = ROOT / "notebooks" / f"{lesson}.ipynb"
    notebook = nbformat.read(path, as_version=4)
    with student(os.geteuid()) as someone:
        executed = someone.without(program).execute(notebook, allowed(path))
        told = [text_of(cell) for cell in executed.cells if cell.cell_type == "code"]
        assert re.search(rf"{need}.*missing", told[0])
        assert "1 needs missing" in told[0]
        assert remedy in told[0]
        assert all(text is not None and "Traceback" not in text for text in told)

        notebook.cells = [cell for cell in notebook.cells if cell.cell_type == "code"][:1]
        first = someone.execute(notebook)
        assert "everything it needs is here" in text_of(first.cells[0])
