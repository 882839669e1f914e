"""A folder of one's own to work in: lessons that aren't there yet are copied into it.

    python -m notebooks.work FOLDER

What is there is never written over: it may hold answers. To begin a lesson anew, rename one's own.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

from labrt import paths

NOTEBOOKS = Path(__file__).parent


def fill(folder: Path, text: Callable[[Path], str] = Path.read_text) -> list[str]:
    """Copy the lessons that `folder` lacks; return their names.

    Args:
        text: returns what is written for a lesson; default: the lesson as it is.

    Raises:
        OSError: the folder can't be written.
    """
    folder.mkdir(parents=True, exist_ok=True)
    missing = [lesson for lesson in _lessons() if not (folder / lesson.name).exists()]
    for lesson in missing:
        paths.write_whole(folder / lesson.name, text(lesson).encode())
    return [lesson.name for lesson in missing]


def _lessons() -> list[Path]:
    return sorted(NOTEBOOKS.glob("[0-9]*.ipynb"))


if __name__ == "__main__":
    if not (named := "".join(sys.argv[1:2])):
        sys.exit("lab: notebooks --work: no folder is named. Remedy: notebooks --work DIR")
    try:
        fill(Path(named))
    except OSError as error:
        said = f"{error.filename}: {error.strerror}"
        sys.exit(f"lab: notebooks --work: {said}. Remedy: name a folder that you may write to")
