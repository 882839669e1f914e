""".dockerignore: what of the context is never copied
(https://docs.docker.com/build/concepts/context/#dockerignore-files).

Its patterns look like .gitignore's but begin at the context's root, and the last that matches
decides, also for what lies in an excluded folder. Anchored so, and matched by themselves and not
folder by folder, pathspec's .gitignore patterns mean the same.
"""

from __future__ import annotations

import posixpath
from collections.abc import Callable
from pathlib import Path

from labrt.errors import LabError

NAMES = (".containerignore", ".dockerignore")


def ignored(context: Path) -> Callable[[str], bool]:
    """Return whether a path of the context, relative to it, is not to be copied.

    Raises:
        LabError: a pattern is none.
    """
    for file in map(context.joinpath, NAMES):
        if file.is_file() and (patterns := _anchored(file.read_text(errors="replace"))):
            return _matcher(file, patterns)
    return lambda path: False


def _matcher(file: Path, patterns: list[str]) -> Callable[[str], bool]:
    from pathspec import PathSpec  # only now: it takes 30 ms to import

    try:
        return PathSpec.from_lines("gitignore", patterns).match_file
    except ValueError as error:
        raise LabError(f"read {file}", str(error)) from None


def _anchored(text: str) -> list[str]:
    found = []
    for line in text.removeprefix("\ufeff").splitlines():
        pattern = line.strip()
        exception = "!" if pattern.startswith("!") else ""
        path = posixpath.normpath(pattern.removeprefix("!").strip().lstrip("/"))
        if not line.startswith("#") and path != ".":
            found.append(f"{exception}/{path}")
    return found
