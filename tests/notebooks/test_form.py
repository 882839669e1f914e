"""The notebooks' form: stripped, small, the same parts in order, nothing of this machine."""

from __future__ import annotations

import re
from itertools import pairwise
from pathlib import Path

import nbformat
import pytest
from nbformat import NotebookNode

from labrt.lessons.lesson import prediction
from tests.notebooks.classroom import ROOT, tag_of

NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))
GUIDE = ROOT / "docs" / "teaching.md"
MOST_CELLS = 40
LONGEST_CODE_LINE = 80  # what a narrow window shows without scrolling sideways
RECALL = "Recall"  # what the first lesson has nothing for
MACHINE = "The other machine"  # from 20 on, machines are what the lesson is about
PARTS = ("The question", "Run", "Observe in /proc", "Explain", "Modify one flag", "Exercise")
LAST_PARTS = ("Break it", MACHINE, "Three questions", "Clean up")
ABOUT_MACHINES = ("20_vm_against_container", "21_claims")
READ_BEFORE = ("begin", "doctor", "ledger")  # cells that look, and start nothing
HEADING = re.compile(r"^## \d+ · (.+)$", re.MULTILINE)

each_notebook = pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)


def read(path: Path) -> NotebookNode:
    return nbformat.read(path, as_version=4)


def code_of(path: Path) -> list[NotebookNode]:
    return [cell for cell in read(path).cells if cell.cell_type == "code"]


def parts(path: Path) -> dict[str, list[NotebookNode]]:
    """Return the parts of a lesson, in order: heading → cells; what stands before them is the
    title's."""
    found: dict[str, list[NotebookNode]] = {}
    heading = "title"
    for cell in read(path).cells:
        if cell.cell_type == "markdown" and (begun := HEADING.search(cell.source)):
            heading = begun[1]
        found.setdefault(heading, []).append(cell)
    return found


def part(path: Path, name: str) -> tuple[str, list[NotebookNode]]:
    """Return one part's text and its code cells."""
    found = parts(path)
    (heading,) = [each for each in found if each.startswith(name)]
    text = "\n".join(cell.source for cell in found[heading] if cell.cell_type == "markdown")
    return text, [cell for cell in found[heading] if cell.cell_type == "code"]


@each_notebook
def test_it_is_valid_and_every_cell_has_an_id_that_says_what_it_is(path: Path) -> None:
    notebook = read(path)
    nbformat.validate(notebook)
    assert (notebook.nbformat, notebook.nbformat_minor) >= (4, 5)
    ids = [cell.id for cell in notebook.cells]
    assert len(set(ids)) == len(ids)
    assert all(re.fullmatch(r"[a-z]+(-[a-z0-9]+)*", cell_id) for cell_id in ids)
    assert not any(re.fullmatch(r"[0-9a-f]{8}", cell_id) for cell_id in ids), "a random id"


@each_notebook
def test_its_outputs_are_stripped(path: Path) -> None:
    for cell in read(path).cells:
        if cell.cell_type == "code":
            assert cell.outputs == [], f"cell {cell.id}"
            assert cell.execution_count is None, f"cell {cell.id}"


@each_notebook
def test_it_names_the_kernel_and_nothing_else_about_where_it_was_written(path: Path) -> None:
    notebook = read(path)
    assert notebook.metadata.kernelspec.name == "python3"
    assert notebook.metadata.language_info == {"name": "python"}
    text = path.read_text()
    for foreign in (str(ROOT), str(Path.home()), "/home/", "/root", "/tmp/", ".venv"):
        # Where a path begins: /proc/PID/root is one of every machine's.
        assert not re.search(rf"(?<![\w}}]){re.escape(foreign)}", text), foreign


@each_notebook
def test_it_is_small(path: Path) -> None:
    notebook = read(path)
    assert len(notebook.cells) <= MOST_CELLS
    for cell in notebook.cells:
        if cell.cell_type == "code":
            longest = max(cell.source.splitlines(), key=len)
            assert len(longest) <= LONGEST_CODE_LINE, longest


@each_notebook
def test_it_has_the_parts_of_a_lesson_in_order(path: Path) -> None:
    wanted = [*PARTS, *LAST_PARTS] if path == NOTEBOOKS[0] else [RECALL, *PARTS, *LAST_PARTS]
    if path.stem in ABOUT_MACHINES:
        wanted.remove(MACHINE)
    headings = list(parts(path))
    found = iter(headings)
    for name in wanted:
        assert any(each.startswith(name) for each in found), f"{name!r} is not in {headings}"


@pytest.mark.parametrize(("before", "path"), list(pairwise(NOTEBOOKS)))
def test_it_asks_three_questions_about_the_lesson_before(before: Path, path: Path) -> None:
    text, code = part(path, RECALL)
    assert text.count("<details><summary>") == 3
    assert code == []
    assert before.name in read(path).cells[0].source + text


@each_notebook
def test_it_asks_a_question_that_many_answer_wrongly(path: Path) -> None:
    assert re.search(r"^A common belief: \*[^*]+\*", part(path, "The question")[0], re.MULTILINE)


@each_notebook
def test_a_prediction_is_asked_before_anything_runs(path: Path) -> None:
    code = code_of(path)
    first = next(n for n, cell in enumerate(code) if tag_of(cell)[0] == "predict")
    run = part(path, "Run")[1][0]
    assert {cell.id for cell in code[:first]} <= set(READ_BEFORE)
    assert first < code.index(run)


@each_notebook
def test_what_it_explains_is_drawn_and_what_has_changed_compared(path: Path) -> None:
    """That the picture is one, with its table, test_notebooks.py sees."""
    assert "picture" in [cell.id for cell in part(path, "Explain")[1]]
    assert any("labrt.diff(" in cell.source for cell in code_of(path))


@each_notebook
@pytest.mark.parametrize("name", ["Modify one flag", "Break it"])
def test_there_is_something_to_change_and_to_break(path: Path, name: str) -> None:
    assert part(path, name)[1]


@each_notebook
def test_an_exercise_is_drawn_then_done_then_checked(path: Path) -> None:
    code = code_of(path)
    exercises = [n for n, cell in enumerate(code) if tag_of(cell)[0] == "exercise"]
    assert exercises
    for n in exercises:
        identity = tag_of(code[n])[1]
        assert f'labrt.draw("{identity}")' in code[n - 1].source
        assert code[n + 1].source == f'labrt.check("{identity}")'
        assert tag_of(code[n + 1]) == ("check", identity)


@each_notebook
def test_its_counterpart_in_a_virtual_machine_is_one_cell(path: Path) -> None:
    if path.stem in ABOUT_MACHINES:
        assert "in_notebook." in part(path, "Run")[1][0].source
    else:
        (cell,) = part(path, MACHINE)[1]
        assert "in_vm." in cell.source


@each_notebook
def test_it_ends_with_three_questions(path: Path) -> None:
    text, code = part(path, "Three questions")
    assert text.count("<details><summary>") == 3
    assert code == []


@each_notebook
def test_it_begins_with_the_doctor_and_ends_with_clean_up(path: Path) -> None:
    code = code_of(path)
    assert "labrt.begin(" in code[0].source
    assert code[-1].source == "labrt.clean_up()"


@pytest.mark.parametrize(("path", "following"), list(pairwise(NOTEBOOKS)))
def test_its_end_leads_to_the_next_one(path: Path, following: Path) -> None:
    last = [cell.source for cell in read(path).cells if cell.cell_type == "markdown"][-1]
    title = read(following).cells[0].source.splitlines()[0].removeprefix("# ").partition(":")[0]
    assert re.search(rf"\[{re.escape(title)}[^]]*\]\({following.name}\)", last)


@each_notebook
def test_predictions_are_asked_in_the_words_that_the_outcome_uses(path: Path) -> None:
    notebook = read(path)
    text = "\n".join(cell.source for cell in notebook.cells if cell.cell_type == "markdown")
    identities = [tag_of(cell)[1] for cell in notebook.cells if tag_of(cell)[0] == "predict"]
    assert identities
    for identity in identities:
        question = text.partition(f"**Prediction {identity}.**")[2].partition("**Prediction")[0]
        for letter, answer in prediction(identity).choices.items():
            assert f"- **{letter}**: {answer}\n" in question + "\n"


@each_notebook
def test_every_prediction_has_one_outcome_after_it(path: Path) -> None:
    code = "\n".join(cell.source for cell in code_of(path))
    asked = re.findall(r'labrt\.predict\("([^"]+)"', code)
    assert sorted(re.findall(r'labrt\.outcome\("([^"]+)"', code)) == sorted(asked)
    for identity in asked:
        assert code.index(f'predict("{identity}"') < code.index(f'outcome("{identity}"')


@each_notebook
def test_the_guide_has_its_goal_its_misconception_and_how_long_it_takes(path: Path) -> None:
    rows = [line.split(" | ") for line in GUIDE.read_text().splitlines()]
    (row,) = [row for row in rows if row[0].startswith(f"| {path.name[:2]} ")]
    _lesson, goal, misconception, minutes = row
    assert goal and misconception
    said = re.search(r"\babout (\d+)( minutes)?\.", read(path).cells[0].source)
    assert said and minutes == f"{said[1]} |"


@each_notebook
def test_pictures_have_words(path: Path) -> None:
    """An image in the text needs a text alternative; drawn ones bring their table along."""
    for cell in read(path).cells:
        assert not re.search(r"!\[\s*\]\(", cell.source), f"cell {cell.id}: an image without words"
        assert "<img" not in cell.source
