"""A folder that can be a root: busybox and a link for each of its commands, nothing else.

For what is done by hand, without images and containers. It is the student's own, on the host.
"""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path

from labrt.images import layers, store


class SmallRoot(tempfile.TemporaryDirectory[str]):
    """The folder; it is removed at the end of a `with` block, or of the notebook.

    Raises:
        LabError: there is no image "busybox".
    """

    def __init__(self) -> None:
        super().__init__(prefix="small-root-")
        (layer,) = layers.unpacked(store.resolve("busybox"))
        shutil.copytree(Path(layer, "bin"), Path(self.name, "bin"), symlinks=True)
        for folder in ("proc", "tmp", "old"):
            Path(self.name, folder).mkdir()

    def __str__(self) -> str:
        return self.name
