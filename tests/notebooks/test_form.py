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
MOST_CELLS = 40
LONGEST_CODE_LINE = 80  # what a narrow window shows without scrolling sideways
SECTIONS = ("question", "Run", "Observe in /proc", "Explain", "Modify one flag", "Exercise")
LAST_SECTIONS = ("Break it", "Three questions", "Clean up")

each_notebook = pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)


def read(path: Path) -> NotebookNode:
    return nbformat.read(path, as_version=4)


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
    text = "\n".join(cell.source for cell in read(path).cells if cell.cell_type == "markdown")
    headings = re.findall(r"^## \d+ · (.+)$", text, flags=re.MULTILINE)
    found = iter(headings)
    for section in (*SECTIONS, *LAST_SECTIONS):
        assert any(section in heading for heading in found), f"{section!r} is not in {headings}"


@each_notebook
def test_it_begins_with_the_doctor_and_ends_with_clean_up(path: Path) -> None:
    code = [cell.source for cell in read(path).cells if cell.cell_type == "code"]
    assert "labrt.begin(" in code[0]
    assert code[-1] == "labrt.clean_up()"


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
def test_every_prediction_stands_before_its_outcome(path: Path) -> None:
    code = [cell.source for cell in read(path).cells if cell.cell_type == "code"]
    for identity in re.findall(r'labrt\.outcome\("([^"]+)"', "\n".join(code)):
        asked = next(n for n, source in enumerate(code) if f'predict("{identity}"' in source)
        shown = next(n for n, source in enumerate(code) if f'outcome("{identity}"' in source)
        assert asked < shown


@each_notebook
def test_pictures_have_words(path: Path) -> None:
    """An image in the text needs a text alternative; drawn ones bring their table along."""
    for cell in read(path).cells:
        assert not re.search(r"!\[\s*\]\(", cell.source), f"cell {cell.id}: an image without words"
        assert "<img" not in cell.source
