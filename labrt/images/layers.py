"""Layers: folders that overlayfs stacks.

Each is unpacked once, into LAB_HOME/layers/DIFFID, and shared by every container that has it.
"""

from __future__ import annotations

from pathlib import Path

from labrt import paths
from labrt.images import store
from labrt.images.store import Image
from labrt.images.whiteouts import is_opaque
from labrt.users import mappings


def unpacked(image: Image) -> list[Path]:
    """Return the image's layers as folders, lowest first, unpacking those not seen before.

    Where a layer is there twice, the upper one hides all of the lower, and overlayfs takes no
    folder twice. Nor does it look for an opaque mark on a layer's root: what lies below such a
    layer is left out here.

    Raises:
        LabError: a layer is missing, damaged, or tries to leave its folder.
    """
    folders = [_folder(diff_id) for diff_id in image.diff_ids]
    for folder, blob, diff_id in zip(folders, image.layers, image.diff_ids, strict=True):
        if not folder.exists():
            from labrt.images import unpacking  # only now: gzip and zstd take 15 ms to import

            with store.adding():  # so that no collector of garbage takes it for left behind
                unpacking.unpack(blob, diff_id, folder)
    stack: list[Path] = []  # uppermost first
    for folder in dict.fromkeys(reversed(folders)):
        stack.append(folder)
        if is_opaque(folder):
            break
    return stack[::-1]


def _folder(diff_id: str) -> Path:
    """One for each way of mapping ids: on disk the owners are the host's."""
    ranges = "".join(f"-{m.host_id}" for m in mappings()[0][1:])
    return paths.home() / "layers" / (diff_id.replace(":", "-") + ranges)
