"""Images of the lab's own that are built on its base images: `python`, the example of a build.

Their Containerfiles lie beside the base images, in `labrt/images/base/NAME/`.
"""

from __future__ import annotations

from pathlib import Path

from labrt.building.builder import Wish, build, network
from labrt.images import base, store
from labrt.images.store import Image
from labrt.options import Options

BUILT = {"python": "debian"}  # name → the base image it begins from


def ensure(name: str) -> Image:
    """Return an image of the lab's own, making it, and what it is made of, where it is missing.

    Raises:
        LabError: there is none of this name, or it can't be made here.
    """
    if name not in BUILT:
        return base.ensure(name)
    if name in store.names():
        return store.resolve(name)
    base.ensure(BUILT[name])
    folder = Path(base.__file__).with_name(name)
    return build(Wish(folder, name, options=Options(network=network())))
