"""What a container has changed in its files, read from its overlay's upper layer: A, C and D, as
`docker diff` has them (https://docs.kernel.org/filesystems/overlayfs.html#whiteouts-and-opaque-directories).
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator, Sequence
from itertools import accumulate
from typing import Literal

from labrt.images.whiteouts import is_opaque, is_whiteout
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
    if is_whiteout(os.lstat(f"{spec.state_dir}/upper{path}")):
        return "D"
    return "C" if _in_image(spec.root.layers, path) else "A"


def _in_image(layers: Sequence[str], path: str) -> bool:
    """Whether the image has that path: the uppermost layer that speaks of it decides."""
    parents = [f"/{part}" for part in accumulate(path.split("/")[1:], "{}/{}".format)][:-1]
    for layer in reversed(layers):
        try:
            return not is_whiteout(os.lstat(f"{layer}{path}"))
        except (FileNotFoundError, NotADirectoryError):
            if any(_hides(f"{layer}{parent}") for parent in parents):
                return False
    return False


def _hides(path: str) -> bool:
    """Whether a layer's entry hides what lower layers have below it."""
    try:
        found = os.lstat(path)
    except (FileNotFoundError, NotADirectoryError):
        return False
    return not stat.S_ISDIR(found.st_mode) or is_opaque(path)
