"""A program of the host's and the libraries that it needs, each as the tree of one layer.

What it needs says ldd(1): its loader and its shared libraries (ld.so(8)).
"""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

from labrt.errors import LabError


def needed(program: str) -> tuple[str, list[str]]:
    """Return the loader of a program and its shared libraries, by their paths.

    Raises:
        LabError: it has none; it is static.
    """
    told = subprocess.run(["ldd", program], capture_output=True, text=True).stdout
    found = re.findall(r"(?:=> )?(/\S+) \(0x", told)
    loader = [path for path in found if Path(path).name.startswith("ld-")]
    if len(loader) != 1:
        raise LabError(f"find the libraries of {program}", "it needs none", remedy="name another")
    return loader[0], [path for path in found if path != loader[0]]


def lay_out(program: str, folder: Path) -> list[str]:
    """Make two trees in a folder: `program`, with the program and its loader, and `libraries`.

    Returns:
        The names of the libraries.
    """
    loader, libraries = needed(program)
    for tree, paths in (("program", [program, loader]), ("libraries", libraries)):
        for path in paths:
            copy = Path(folder, tree + path)
            copy.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(path, copy)  # what a link leads to, under the link's name
    return [Path(path).name for path in libraries]
