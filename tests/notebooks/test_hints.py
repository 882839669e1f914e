"""Hints say what to think of next; none holds a piece of the answer.

The answer is what the hidden solution is made of: each of its statements, the words that it calls
labrt with, its commands and their options, and what was drawn.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator

import pytest

from labrt.lessons.lesson import Check, lessons
from tests.notebooks.classroom import SOLUTIONS

CHECKS = [check for found in lessons() for check in found.checks]

each_check = pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.id)


@each_check
def test_no_hint_holds_a_piece_of_the_solution(check: Check) -> None:
    found = set(pieces(check.id))
    assert found
    for hint in check.hints:
        assert not [piece for piece in found if piece in hint], hint


@each_check
def test_no_hint_holds_what_was_drawn(check: Check) -> None:
    for own in range(20):
        drawn = check.draw(own * 7919)
        assert not any(drawn in words(hint) for hint in check.hints)


def words(hint: str) -> list[str]:
    """Return a hint's words, without the numbers of places in the course."""
    return re.sub(r"(?i)\b(sections?|lesson) \d+( and \d+)?", "", hint).split()


def pieces(identity: str) -> Iterator[str]:
    key, _, number = identity.rpartition("-")
    tree = ast.parse((SOLUTIONS / key / f"{number}.py").read_text())
    for statement in tree.body:
        if not isinstance(statement, ast.Import | ast.ImportFrom):
            yield ast.unparse(statement)
    for node in ast.walk(tree):
        if isinstance(node, ast.keyword) and node.arg:
            yield f"{node.arg}="
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            yield from commands(node.value)


def commands(text: str) -> Iterator[str]:
    """Yield the commands of more than one word in a script."""
    for line in text.replace(";", "\n").splitlines():
        if len(line.split()) > 1:
            yield line.strip()
