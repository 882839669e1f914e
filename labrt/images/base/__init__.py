"""Base images made on this machine, without a registry: `busybox` in a blink, `debian` in half a
minute. Made the same way every time, so that the same sources give the same digest."""

from __future__ import annotations

from labrt.errors import LabError
from labrt.images import store
from labrt.images.store import Image

NAMES = ("busybox", "debian")


def ensure(name: str) -> Image:
    """Return the base image `name`, building it where the store hasn't got it.

    Raises:
        LabError: not a base image, or it can't be built here.
    """
    if name not in NAMES:
        known = f"the lab's are {', '.join(NAMES)}, and python"
        raise LabError(f"build the base image {name!r}", known)
    return store.resolve(name) if name in store.names() else build(name)


def build(name: str) -> Image:
    """Build the base image `name` anew.

    Raises:
        LabError: it can't be built here.
    """
    from labrt.images.base import busybox, debian  # only now: tar takes 5 ms to import

    return busybox.build() if name == "busybox" else debian.build()
