"""A picture made of boxes and arrows, said once and written in two languages.

Mermaid is what JupyterLab draws by itself, offline. DOT is what Graphviz draws for the book
(notebooks/book.py), where no script runs. https://mermaid.js.org/syntax/flowchart.html,
https://graphviz.org/doc/info/lang.html
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal

from labrt.lessons.shown import Shown

Shape = Literal["box", "round"]


@dataclass(frozen=True)
class Node:
    """One box.

    Attributes:
        key: letters and digits, its own in the picture.
        label: lines are parted by newlines.
        group: title of the frame that it stands in, "" for none.
    """

    key: str
    label: str
    shape: Shape = "box"
    group: str = ""


@dataclass(frozen=True)
class Edge:
    """One arrow from a node to another."""

    start: str
    end: str
    label: str = ""


@dataclass(frozen=True)
class Graph:
    """The picture.

    Attributes:
        title, description: for those who don't see it.
    """

    title: str
    description: str
    nodes: Sequence[Node]
    edges: Sequence[Edge] = field(default=())

    def shown(self) -> Shown:
        """Return the picture for a cell: no text, for a table beside it holds the same facts."""
        return Shown("", f"```mermaid\n{self.mermaid()}\n```\n", ((self.dot(), self.description),))

    def groups(self) -> list[str]:
        """Return the frames, in the order of their first nodes."""
        return list(dict.fromkeys(node.group for node in self.nodes if node.group))

    def mermaid(self) -> str:
        """Return it as a Mermaid flowchart from left to right."""
        lines = [
            "flowchart LR",
            f"  accTitle: {_one_line(self.title)}",
            f"  accDescr: {_one_line(self.description)}",
        ]
        lines += [f"  {_mermaid_node(node)}" for node in self.nodes if not node.group]
        for number, group in enumerate(self.groups()):
            lines.append(f'  subgraph g{number}["{_entities(group)}"]')
            lines += [f"    {_mermaid_node(node)}" for node in self.nodes if node.group == group]
            lines.append("  end")
        for edge in self.edges:
            label = f'|"{_entities(edge.label)}"|' if edge.label else ""
            lines.append(f"  {edge.start} -->{label} {edge.end}")
        return "\n".join(lines)

    def dot(self) -> str:
        """Return it in Graphviz's language."""
        lines = [
            f"digraph {_string(_one_line(self.title))} {{",
            '  rankdir=LR; bgcolor="transparent"; fontname="sans-serif";',
            '  node [shape=box, fontname="sans-serif", style=filled, fillcolor="#f4f4f4"];',
            '  edge [fontname="sans-serif"];',
        ]
        lines += [f"  {_dot_node(node)}" for node in self.nodes if not node.group]
        for number, group in enumerate(self.groups()):
            lines.append(f"  subgraph cluster{number} {{ label={_string(group)};")
            lines += [f"    {_dot_node(node)}" for node in self.nodes if node.group == group]
            lines.append("  }")
        lines += [
            f"  {edge.start} -> {edge.end} [label={_string(edge.label)}];" for edge in self.edges
        ]
        return "\n".join([*lines, "}"])


def _mermaid_node(node: Node) -> str:
    left, right = ("([", "])") if node.shape == "round" else ("[", "]")
    return f'{node.key}{left}"{_entities(node.label)}"{right}'


def _entities(text: str) -> str:
    """Return text that is safe between Mermaid's double quotes (entity codes begin with #)."""
    safe = text.replace("#", "#35;").replace('"', "#quot;").replace("<", "#lt;")
    return safe.replace("\n", "<br/>")


def _one_line(text: str) -> str:
    return " ".join(text.split())


def _dot_node(node: Node) -> str:
    style = ', style="rounded,filled"' if node.shape == "round" else ""
    return f"{node.key} [label={_string(node.label)}{style}];"


def _string(text: str) -> str:
    """Return a quoted string of DOT's; a backslash begins an escape there."""
    safe = text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
    return f'"{safe}"'
