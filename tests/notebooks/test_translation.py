"""Translations: the prose of every cell, of the English that stands there today, and no code."""

from __future__ import annotations

import re
from pathlib import Path

import nbformat
import pytest
from nbformat import NotebookNode

from labrt import paths
from notebooks import translation
from notebooks.translation import NOTEBOOKS, checksum, translated

TRANSLATIONS = sorted(NOTEBOOKS.glob("*/*.md"))
KEPT = re.compile(r"^(## \d+ ·|- \*\*[a-z]\*\*:|<details>|</details>|```)", re.MULTILINE)
IDENTITY = re.compile(r"\b[a-z]+-p?\d+\b")
LINK = re.compile(r"\]\((\S+)\)")

each_translation = pytest.mark.parametrize(
    "path", TRANSLATIONS, ids=lambda path: f"{path.parent.name}/{path.stem}"
)


def english(path: Path) -> dict[str, str]:
    """Return the English text that a translation is of, by cell."""
    notebook = nbformat.read(NOTEBOOKS / f"{path.stem}.ipynb", as_version=4)
    return {cell.id: cell.source for cell in notebook.cells if cell.cell_type == "markdown"}


@each_translation
def test_it_has_every_cell_in_order(path: Path) -> None:
    assert list(translation.read(path)) == list(english(path))


@each_translation
def test_it_is_of_the_english_that_stands_there_today(path: Path) -> None:
    sums = {cell: checksum(text) for cell, text in english(path).items()}
    assert {cell: prose.of for cell, prose in translation.read(path).items()} == sums


@each_translation
def test_it_keeps_headings_choices_identities_and_links(path: Path) -> None:
    for cell, text in english(path).items():
        prose = translation.read(path)[cell].text
        for kept in (KEPT, IDENTITY, LINK):
            assert kept.findall(prose) == kept.findall(text), cell
        assert prose != text, f"{cell} is still in English"


@pytest.fixture
def source() -> NotebookNode:
    return nbformat.read(NOTEBOOKS / "02_uts.ipynb", as_version=4)


def test_a_translated_notebook_has_the_same_code_and_other_prose(source: NotebookNode) -> None:
    made = translated(source, translation.read(NOTEBOOKS / "ko" / "02_uts.md"))
    nbformat.validate(made)
    assert [cell.id for cell in made.cells] == [cell.id for cell in source.cells]
    for ours, theirs in zip(made.cells, source.cells, strict=True):
        assert (ours == theirs) == (ours.cell_type == "code")


def test_a_translation_begins_with_the_english(source: NotebookNode, tmp_path: Path) -> None:
    begun = tmp_path / "02_uts.md"
    begun.write_text(translation.begin(source))
    assert translated(source, translation.read(begun)) == source


def test_the_course_is_written_once_and_what_a_student_has_done_there_stays(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LAB_HOME", str(tmp_path))
    folder = translation.write("ko")
    assert folder.is_relative_to(paths.home())
    names = sorted(path.name for path in folder.iterdir())
    assert names == sorted(path.name for path in NOTEBOOKS.glob("*.ipynb"))
    assert "네임스페이스" in (folder / "02_uts.ipynb").read_text()
    (folder / "02_uts.ipynb").write_text("work")
    translation.write("ko")
    assert (folder / "02_uts.ipynb").read_text() == "work"


def test_a_language_there_is_nothing_in_is_refused_with_those_there_are(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert translation.main(["xx"]) == 1
    assert "there is: ko" in capsys.readouterr().err
