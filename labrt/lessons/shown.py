"""What a notebook cell shows: the same words as plain text and as Markdown.

JupyterLab takes the Markdown; a terminal, a test and a screen without it take the text.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

PICTURES = "application/vnd.lab.pictures+json"

_MARKDOWN = re.compile(r"([\\`*_\[\]<>|#~$])")


@dataclass(frozen=True, repr=False)
class Shown:
    """Words for people. As the last expression of a cell it is displayed.

    Attributes:
        pictures: those that are in the Markdown, once more: (Graphviz's language, in words).
    """

    text: str
    markdown: str
    pictures: tuple[tuple[str, str], ...] = ()

    def __repr__(self) -> str:
        return self.text

    def _repr_mimebundle_(self, **_: object) -> dict[str, object]:
        """Return what Jupyter takes its choice of; the last is for the book alone."""
        found: dict[str, object] = {"text/plain": self.text, "text/markdown": self.markdown}
        return found | ({PICTURES: list(map(list, self.pictures))} if self.pictures else {})

    def __add__(self, other: Shown) -> Shown:
        text = "\n\n".join(filter(None, (self.text, other.text)))
        markdown = f"{self.markdown}\n\n{other.markdown}"
        return Shown(text, markdown, (*self.pictures, *other.pictures))


def escape(text: str) -> str:
    """Return text that Markdown shows letter for letter."""
    return _MARKDOWN.sub(r"\\\1", text).replace("\n", " ")


def paragraph(text: str) -> Shown:
    return Shown(text, escape(text))


def told(title: str, facts: Sequence[tuple[str, str]]) -> Shown:
    """Return a title and labelled facts, one a line."""
    width = max((len(label) for label, _ in facts), default=0) + 1
    lines = [f"  {label + ':':{width}} {fact}" for label, fact in facts]
    items = [f"- {label}: {escape(fact)}" for label, fact in facts]
    return Shown("\n".join([title, *lines]), "\n".join([f"**{escape(title)}**", "", *items]))


def table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> Shown:
    """Return a table with one header line."""
    widths = [max(map(len, column)) for column in zip(header, *rows, strict=True)]
    rule = ["-" * width for width in widths]
    text = [_aligned(cells, widths) for cells in (header, rule, *rows)]
    marks = ["---"] * len(header)
    markdown = [_piped(header), _piped(marks), *(_piped(map(escape, row)) for row in rows)]
    return Shown("\n".join(text), "\n".join(markdown))


def _aligned(cells: Sequence[str], widths: Sequence[int]) -> str:
    padded = (f"{cell:{width}}" for cell, width in zip(cells, widths, strict=True))
    return "  ".join(padded).rstrip()


def _piped(cells: Iterable[str]) -> str:
    return f"| {' | '.join(cells)} |"
