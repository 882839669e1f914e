"""What a container has changed in its files, read from its overlay's upper layer: A, C and D, as
`docker diff` has them (https://docs.kernel.org/filesystems/overlayfs.html#whiteouts-and-opaque-directories).
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from typing import Literal

from labrt.spec import Spec

Kind = Literal["A", "C", "D"]


def changes(spec: Spec) -> list[tuple[Kind, str]]:
    """Return (kind, path in the container) for each file that was added, changed or deleted."""
    return [(_kind(spec, path), path) for path in sorted(_below(f"{spec.state_dir}/upper"))]


def _below(upper: str) -> Iterator[str]:
    for folder, names, files in os.walk(upper):
        for name in (*names, *files):
            yield f"{folder}/{name}".removeprefix(upper)


def _kind(spec: Spec, path: str) -> Kind:
    found = os.lstat(f"{spec.state_dir}/upper{path}")
    if stat.S_ISCHR(found.st_mode) and found.st_rdev == 0:
        return "D"  # a whiteout
    below = any(os.path.lexists(f"{layer}{path}") for layer in spec.root.layers)
    return "C" if below else "A"
