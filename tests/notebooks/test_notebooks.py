"""Each notebook executed: as the student gets it, and with its exercises solved.

As root, and as a user without rights (no limits there, and every lesson says so by itself).
"""

from __future__ import annotations

import os
from pathlib import Path

import nbformat
import pytest
from nbformat import NotebookNode

from labrt.lessons.lesson import COURSE, check_of, lesson
from tests.notebooks.classroom import NOBODY, ROOT, Student, solved, student, tagged, text_of

NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))

each_notebook = pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
each_user = pytest.mark.parametrize("uid", [os.geteuid(), NOBODY], ids=["this-user", "nobody"])


def read(path: Path) -> NotebookNode:
    return nbformat.read(path, as_version=4)


def assert_no_traceback(executed: NotebookNode) -> None:
    for cell in executed.cells:
        if cell.cell_type == "code":
            assert cell.execution_count, f"cell {cell.id} did not run"
            assert "Traceback" not in text_of(cell)
            assert all(output.output_type != "error" for output in cell.outputs)


def outcomes(someone: Student) -> list[dict[str, object]]:
    return [entry for entry in someone.ledger() if entry["kind"] == "outcome"]


@each_user
@each_notebook
def test_as_the_student_gets_it_every_check_fails_with_its_first_hint(path: Path, uid: int) -> None:
    with student(uid) as someone:
        executed = someone.execute(read(path))
        assert_no_traceback(executed)
        checks = tagged(executed, "check")
        assert checks, "a lesson without an exercise teaches little"
        for identity, told in checks.items():
            assert told.startswith(f"Check {identity}: not yet (attempt 1)")
            assert check_of(identity).hints[0] in told
        for identity, told in tagged(executed, "predict").items():
            assert told.startswith(f"Prediction {identity}: not recorded")
        assert all(entry["predicted"] is None for entry in outcomes(someone))


@each_user
@each_notebook
def test_with_the_solutions_every_check_passes_and_every_prediction_comes_true(
    path: Path, uid: int
) -> None:
    with student(uid) as someone:
        executed = someone.execute(solved(read(path)))
        assert_no_traceback(executed)
        for identity, told in tagged(executed, "check").items():
            assert told.startswith(f"Check {identity}: passed"), told
        predicted = tagged(executed, "predict")
        shown = [text_of(cell) for cell in executed.cells if cell.cell_type == "code"]
        for identity in predicted:
            assert any(f"Prediction {identity}: match" in told for told in shown)
        assert [entry["id"] for entry in outcomes(someone)] == list(predicted)
        assert all(entry["predicted"] == entry["seen"] for entry in outcomes(someone))


def test_every_check_and_prediction_of_the_course_stands_in_exactly_one_notebook() -> None:
    declared = {
        item.id for key in COURSE for item in (*lesson(key).checks, *lesson(key).predictions)
    }
    used = [
        identity
        for path in NOTEBOOKS
        for kind in ("check", "predict")
        for identity in _ids(read(path), kind)
    ]
    assert sorted(used) == sorted(declared)


def _ids(notebook: NotebookNode, kind: str) -> list[str]:
    tags = [tag for cell in notebook.cells for tag in cell.metadata.get("tags", [])]
    return [tag.partition(":")[2] for tag in tags if tag.startswith(f"{kind}:")]
