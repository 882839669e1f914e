"""The course in another language: one set of code cells, the prose of each cell beside it.

    notebooks/02_uts.ipynb   code and English prose
    notebooks/ko/02_uts.md   the Korean prose of the same cells

A translation is Markdown; before each cell's text stands a line with the cell's id and a sum of the
English text that was translated, so that a test finds what has changed since:

    <!-- cell title 1a2b3c4d -->

    ./lab notebooks --language ko       the course in Korean, as far as there is one
    .venv/bin/python -m notebooks.translation ko 04_pid
                                        begin a translation: ko/04_pid.md, in English still

Lessons without a translation are in English. What labrt itself prints is, too.
"""

from __future__ import annotations

import argparse
import hashlib
import re
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import nbformat
from nbformat import NotebookNode

from labrt import paths
from labrt.errors import LabError
from notebooks import work

NOTEBOOKS = Path(__file__).parent
CELL = re.compile(r"^<!-- cell ([a-z0-9-]+) ([0-9a-f]{8}) -->\n", re.MULTILINE)


@dataclass(frozen=True)
class Prose:
    """One cell's text in another language.

    Attributes:
        text: Markdown.
        of: `checksum` of the English text that was translated.
    """

    text: str
    of: str


def checksum(text: str) -> str:
    """Return eight hexadecimal digits that change with the text."""
    return hashlib.sha256(text.encode()).hexdigest()[:8]


def languages() -> list[str]:
    """Return the languages there is something in: names of folders, as IETF language tags (ko)."""
    return sorted({path.parent.name for path in NOTEBOOKS.glob("*/*.md")})


def read(path: Path) -> dict[str, Prose]:
    """Return a translation's prose by the ids of its cells."""
    parts = CELL.split(path.read_text())
    cells = zip(parts[1::3], parts[2::3], parts[3::3], strict=True)
    return {cell: Prose(text.strip(), of) for cell, of, text in cells}


def begin(source: NotebookNode) -> str:
    """Return a translation that is still in English, to be written over."""
    return "\n".join(
        f"<!-- cell {cell.id} {checksum(cell.source)} -->\n{cell.source}\n"
        for cell in source.cells
        if cell.cell_type == "markdown"
    )


def translated(source: NotebookNode, prose: dict[str, Prose]) -> NotebookNode:
    """Return the notebook with the prose in place of its own; what has none stays as it is."""
    made = nbformat.from_dict(source)
    for cell in made.cells:
        if cell.cell_type == "markdown" and cell.id in prose:
            cell.source = prose[cell.id].text
    return made


def write(language: str) -> Path:
    """Put the course in a language into LAB_HOME and return the folder. What is there already is a
    student's work and stays as it is.

    Raises:
        LabError: there is nothing in that language.
    """
    if language not in languages():
        known = ", ".join(languages())
        raise LabError(
            f"find the course in {language!r}", "no translation", remedy=f"there is: {known}"
        )
    folder = paths.home() / "notebooks" / language
    work.fill(folder, lambda lesson: _text(language, lesson))
    return folder


def _text(language: str, lesson: Path) -> str:
    prose = NOTEBOOKS / language / f"{lesson.stem}.md"
    if not prose.exists():
        return lesson.read_text()
    made = translated(nbformat.read(lesson, as_version=4), read(prose))
    return str(nbformat.writes(made)) + "\n"


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; return the exit status."""
    parser = argparse.ArgumentParser(prog="python -m notebooks.translation")
    parser.add_argument("language", help="a language tag: ko")
    parser.add_argument("lesson", nargs="?", help="begin a translation of this one: 04_pid")
    options = parser.parse_args(arguments)
    try:
        if options.lesson is None:
            print(write(options.language))
        else:
            print(_begin(options.language, options.lesson))
    except (LabError, OSError) as error:
        print(f"lab: {error}", file=sys.stderr)
        return 1
    return 0


def _begin(language: str, lesson: str) -> Path:
    source, target = NOTEBOOKS / f"{lesson}.ipynb", NOTEBOOKS / language / f"{lesson}.md"
    if target.exists():
        raise LabError(f"begin {target}", "it is there", remedy="go on with it")
    target.parent.mkdir(exist_ok=True)
    target.write_text(begin(nbformat.read(source, as_version=4)))
    return target


if __name__ == "__main__":
    raise SystemExit(main())
