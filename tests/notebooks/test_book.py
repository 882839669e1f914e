"""notebooks/book.py: pages that load nothing, hold the drawn pictures, and say what failed."""

from __future__ import annotations

import shutil
from html.parser import HTMLParser
from pathlib import Path

import nbformat
import pytest
from nbformat import NotebookNode
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_output

from labrt.errors import LabError
from labrt.lessons import ledger
from labrt.lessons.graph import Edge, Graph, Node
from notebooks import book

PICTURE = Graph("a title", "in words", [Node("a", "one"), Node("b", "two")], [Edge("a", "b")])


class Links(HTMLParser):
    """All that a page refers to."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.found: list[str] = []
        self.scripts = 0
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.scripts += tag in ("script", "link", "iframe")
        self.found += [value or "" for name, value in attrs if name in ("href", "src")]


def notebook(*code: str) -> NotebookNode:
    cells = [new_markdown_cell("# 02 · A title\n\n[before](00_first.ipynb)", id="title")]
    return new_notebook(cells=[*cells, *(new_code_cell(c, id=f"c{n}") for n, c in enumerate(code))])


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> book.Page:
    path = tmp_path_factory.mktemp("book") / "02_it.ipynb"
    code = (
        "from tests.notebooks.test_book import PICTURE; PICTURE.shown()",
        "1 / 0",
        "import labrt; labrt.predict('uts-p1', 'a')",
        "import time\nfor n in range(3): print('line', n, flush=True); time.sleep(0.2)",
    )
    nbformat.write(notebook(*code), path)
    return book.made(path)


def test_a_page_has_its_pictures_drawn_and_loads_nothing(page: book.Page, tmp_path: Path) -> None:
    other = book.Page("00_first", "00 · First", "", (), new_notebook())
    book.write([other, page], tmp_path / "out")
    text = (tmp_path / "out" / "02_it.html").read_text()
    links = Links(text)
    assert links.scripts == 0
    assert all(link.startswith(("#", "0", "index.html")) for link in links.found), links.found
    assert {"00_first.html", "index.html"} <= set(links.found)
    assert '<figure aria-label="in words" role="img"><svg' in text and "mermaid" not in text
    index = (tmp_path / "out" / "index.html").read_text()
    assert 'href="02_it.html">02 · A title</a> (a cell failed)' in index


def test_slides_have_one_for_each_section_with_what_its_cells_gave(tmp_path: Path) -> None:
    lesson = notebook("x")
    lesson.cells += [
        new_markdown_cell("## 1 · A section", id="section"),
        new_markdown_cell("More of it.", id="more"),
        new_code_cell("y", id="c9", outputs=[new_output("stream", text="told")]),
    ]
    book.write_slides([book.Page("02_it", "", "", (), lesson)], tmp_path, "scripts")
    text = (tmp_path / "02_it.slides.html").read_text()
    assert text.count("<section") == 2 + 3  # a column for each heading, a slide for each text
    assert "told" in text.partition("More of it.")[2]
    loaded = [link for link in Links(text).found if link and not link.startswith(("#", "0"))]
    assert loaded
    assert all(link.startswith("scripts/") for link in loaded)
    assert "slideshow" not in lesson.cells[0].metadata


def test_a_cell_that_fails_is_named_and_the_rest_is_executed(page: book.Page) -> None:
    assert page.failures == ("cell c1: ZeroDivisionError: division by zero",)
    assert "Prediction uts-p1: recorded" in page.body


def test_what_a_cell_prints_line_by_line_is_one_block(page: book.Page) -> None:
    assert "line 0\nline 1\nline 2\n" in page.body


def test_what_a_cells_program_prints_isnt_on_the_terminal(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv("PYTEST_CURRENT_TEST")  # with it, ipykernel leaves descriptors alone
    told = "import os, time\nassert os.system('echo a program') == 0\ntime.sleep(1)"
    executed = notebook(told)
    assert book.execute(executed) == []
    assert executed.cells[1].outputs[0].text == "a program\n"
    assert capfd.readouterr().out == ""


def test_the_readers_own_ledger_is_not_touched(page: book.Page) -> None:
    assert not ledger.path(book.READER).exists()


def test_without_graphviz_the_picture_is_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    executed = notebook("x")
    output = {"output_type": "display_data", "data": PICTURE.shown()._repr_mimebundle_()}
    executed.cells[1].outputs = [nbformat.from_dict(output)]
    monkeypatch.setattr(shutil, "which", lambda name: None)
    book.draw(executed)
    (left,) = executed.cells[1].outputs
    assert "mermaid" not in left.data["text/markdown"]


def test_notebooks_are_chosen_by_number_or_name() -> None:
    assert [path.name[:2] for path in book.chosen(["02", "00_ten_minute_container"])] == [
        "00",
        "02",
    ]
    assert len(book.chosen([])) >= 2
    with pytest.raises(LabError, match="there is none"):
        book.chosen(["77"])
