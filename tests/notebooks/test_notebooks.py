"""Each notebook executed: as the student gets it, and with its exercises solved.

As this user, and as one without rights (no limits there, and every lesson says so by itself). Which
exercises only root can solve, or who has a cgroup delegated, the lesson says (`Lesson.root_only`).
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from pathlib import Path

import nbformat
import pytest
from nbformat import NotebookNode

from labrt import cgroups
from labrt.lessons.lesson import check_of, keys, lesson, lessons
from labrt.lessons.snapshots import UNCHANGED
from tests.notebooks.classroom import (
    LONG_SECONDS,
    NOBODY,
    ROOT,
    Student,
    allowed,
    student,
    tagged,
    text_of,
)
from tests.notebooks.two_at_once import TwoAtOnce

NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))

THIS_USER = os.geteuid()
LONGEST = {20, 21, 22}
slow = pytest.mark.slow
in_time = pytest.mark.timeout(2 * LONG_SECONDS)  # `execute` is less patient
ROOT_ONLY = {found.number for found in lessons() if found.root_only}
MEASURE = ROOT_ONLY | LONGEST | {19}  # limits, times, a virtual machine's memory: each alone


def runs(*, solved: bool) -> list[object]:
    """Return notebooks and users (path, uid). By default each notebook is executed once, solved, as
    this user, but for those that measure longest; with --all also unsolved, and both as one without
    rights."""
    return [
        pytest.param(
            path,
            uid,
            id=f"{path.stem}-{'this-user' if uid == THIS_USER else 'nobody'}",
            marks=[] if solved and uid == THIS_USER and number(path) not in LONGEST else [slow],
        )
        for path in NOTEBOOKS
        for uid in dict.fromkeys([THIS_USER, NOBODY])
        if not (solved and uid != THIS_USER and number(path) in ROOT_ONLY)
    ]


def number(path: Path) -> int:
    return int(path.name.partition("_")[0])


def read(path: Path) -> NotebookNode:
    return nbformat.read(path, as_version=4)


def assert_no_traceback(executed: NotebookNode) -> None:
    for cell in executed.cells:
        if cell.cell_type == "code":
            assert cell.execution_count, f"cell {cell.id} did not run"
            assert "Traceback" not in text_of(cell)
            assert all(output.output_type != "error" for output in cell.outputs)


def assert_no_refusal(executed: NotebookNode) -> None:
    """What may be refused elsewhere (labrt/lessons/limited.py) isn't to whom can solve the rest."""
    for cell in executed.cells:
        if "raises-exception" in cell.metadata.get("tags", []):
            assert not re.search(r"^labrt: ", text_of(cell), flags=re.MULTILINE), text_of(cell)


def assert_drawn(executed: NotebookNode) -> None:
    """The picture is one that JupyterLab draws, with a table; and something was compared."""
    (picture,) = [cell for cell in executed.cells if cell.id == "picture"]
    told = "\n".join(markdown_of(picture))
    assert "```mermaid\n" in told
    assert "| --- |" in told
    everything = [text for cell in executed.cells for text in markdown_of(cell)]
    assert any("```diff\n" in text or UNCHANGED in text for text in everything)


def markdown_of(cell: NotebookNode) -> list[str]:
    return [
        out.data["text/markdown"]
        for out in cell.get("outputs", ())
        if "text/markdown" in out.get("data", {})
    ]


def outcomes(someone: Student) -> list[dict[str, object]]:
    return [entry for entry in someone.ledger() if entry["kind"] == "outcome"]


@in_time
@pytest.mark.parametrize(("path", "uid"), runs(solved=False))
def test_as_the_student_gets_it_every_check_fails_with_its_first_hint(path: Path, uid: int) -> None:
    with student(uid) as someone:
        executed = someone.execute(read(path), allowed(path))
        assert_no_traceback(executed)
        checks = tagged(executed, "check")
        assert checks, "a lesson without an exercise teaches little"
        for identity, told in checks.items():
            assert told.startswith(f"Check {identity}: not yet (attempt 1)")
            assert check_of(identity).hints[0] in told
        for identity, told in tagged(executed, "predict").items():
            assert told.startswith(f"Prediction {identity}: not recorded")
        assert all(entry["predicted"] is None for entry in outcomes(someone))


@pytest.fixture(scope="module")
def course(request: pytest.FixtureRequest) -> Iterator[TwoAtOnce]:
    """The solved notebooks that are selected."""
    chosen = [
        (item.callspec.params["path"], item.callspec.params["uid"])
        for item in request.session.items
        if item.path == Path(__file__) and "course" in item.fixturenames
    ]
    with TwoAtOnce(chosen, alone=lambda path: number(path) in MEASURE) as course:
        yield course


@in_time
@pytest.mark.parametrize(("path", "uid"), runs(solved=True))
def test_with_the_solutions_every_check_passes_and_every_prediction_comes_true(
    path: Path, uid: int, course: TwoAtOnce
) -> None:
    if number(path) in ROOT_ONLY and (reason := cgroups.unavailable()):
        pytest.skip(f"its exercises need limits: {reason}")
    with course.taken(path, uid) as (someone, executed):
        assert_no_traceback(executed)
        assert_no_refusal(executed)
        assert_drawn(executed)
        for identity, told in tagged(executed, "check").items():
            assert told.startswith(f"Check {identity}: passed"), told
        predicted = tagged(executed, "predict")
        shown = [text_of(cell) for cell in executed.cells if cell.cell_type == "code"]
        for identity in predicted:
            assert any(f"Prediction {identity}: match" in told for told in shown)
        assert [entry["id"] for entry in outcomes(someone)] == list(predicted)
        assert all(entry["predicted"] == entry["seen"] for entry in outcomes(someone))


def test_each_lesson_has_its_notebook() -> None:
    assert [found.number for found in lessons()] == [number(path) for path in NOTEBOOKS]


def test_every_check_and_prediction_of_the_course_stands_in_exactly_one_notebook() -> None:
    declared = {
        item.id for key in keys() for item in (*lesson(key).checks, *lesson(key).predictions)
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
