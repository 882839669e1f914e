""".dockerignore: what of the context is never copied
(https://docs.docker.com/build/concepts/context/#dockerignore-files).

Its patterns look like .gitignore's, but begin at the context's root, and the last one that matches
decides, also for what lies in an excluded folder. Libraries for .gitignore decide folder by folder;
so the patterns become regular expressions here.
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Callable
from pathlib import Path

from labrt.errors import LabError

NAMES = (".containerignore", ".dockerignore")
_TOKEN = re.compile(r"\*\*/?|\*|\?|\[\^?\]?[^\]/]*\]|\\.|[^\\\[]", re.DOTALL)


def ignored(context: Path) -> Callable[[str], bool]:
    """Return whether a path of the context, relative to it, is not to be copied.

    Raises:
        LabError: a pattern is none.
    """
    file = next((file for file in map(context.joinpath, NAMES) if file.is_file()), None)
    if file is None:
        return lambda path: False
    rules = list(_rules(file))

    def decide(path: str) -> bool:
        return next((out for out, pattern in reversed(rules) if pattern.fullmatch(path)), False)

    return decide


def _rules(file: Path) -> list[tuple[bool, re.Pattern[str]]]:
    """Whether it excludes, and what, for each line."""
    found = []
    for line in file.read_text(errors="replace").removeprefix("\ufeff").splitlines():
        pattern = line.strip()
        path = posixpath.normpath(pattern.removeprefix("!").strip().lstrip("/") or ".")
        if not line.startswith("#") and path != ".":
            found.append((not pattern.startswith("!"), _expression(path, file)))
    return found


def _expression(pattern: str, file: Path) -> re.Pattern[str]:
    """Match a path, or a folder above it, as Go's filepath.Match does; "**" is any folders."""
    tokens = _TOKEN.findall(pattern)
    try:
        if "".join(tokens) == pattern:
            return re.compile("".join(map(_translated, tokens)) + "(/.*)?", re.DOTALL)
    except re.error:
        pass  # such as [z-a]
    raise LabError(f"read {file}", f"the pattern {pattern!r} is none")


def _translated(token: str) -> str:
    simple = {"**/": "(.*/)?", "**": ".*", "*": "[^/]*", "?": "[^/]"}
    if token in simple:
        return simple[token]
    if token.startswith("["):
        return token  # regular expressions have the same, "^" included
    return re.escape(token.removeprefix("\\") or "\\")
