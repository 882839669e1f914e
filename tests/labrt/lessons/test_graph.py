"""labrt/lessons/graph.py: one picture in two languages, and no label can break either."""

from __future__ import annotations

import shutil
import subprocess

import pytest

from labrt.lessons.graph import Edge, Graph, Node

HOSTILE = 'x"]<b>#1;\\\n"end"'
PICTURE = Graph(
    "a title",
    "what is\nto be seen",
    [Node("a", HOSTILE), Node("b", "inside", "round", HOSTILE), Node("c", "too", group=HOSTILE)],
    [Edge("a", "b", HOSTILE), Edge("b", "c")],
)


def test_a_label_can_not_break_the_picture() -> None:
    text = PICTURE.mermaid()
    assert 'a["x#quot;]#lt;b>#35;1;\\<br/>#quot;end#quot;"]' in text
    assert text.count("subgraph") == text.count("\n  end") == 1
    assert "a -->|" in text and "b --> c" in text


def test_it_is_described_for_those_who_do_not_see_it() -> None:
    assert "accTitle: a title\n  accDescr: what is to be seen\n" in PICTURE.mermaid()


@pytest.mark.skipif(shutil.which("dot") is None, reason="no dot; apt-get install graphviz")
def test_graphviz_draws_it() -> None:
    done = subprocess.run(["dot", "-Tsvg"], input=PICTURE.dot(), capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")
    assert "inside" in done.stdout and "x&quot;]&lt;b&gt;#1;" in done.stdout


def test_a_cell_gets_mermaid_and_the_book_dot() -> None:
    bundle = PICTURE.shown()._repr_mimebundle_()
    assert str(bundle["text/markdown"]).startswith("```mermaid\n")
    assert bundle["application/vnd.lab.pictures+json"] == [[PICTURE.dot(), PICTURE.description]]
