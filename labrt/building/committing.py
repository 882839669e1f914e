"""Committing: what a container has changed becomes one more layer on top of its image's."""

from __future__ import annotations

import os
import time
from pathlib import Path

from labrt import state
from labrt.building import configuration, roots
from labrt.container import lock_ended
from labrt.errors import LabError
from labrt.images import making, store
from labrt.images.store import Image


def commit(folder: Path, name: str) -> Image:
    """Make an image of a container that has ended, without its volumes.

    Its command and environment are its image's.

    Args:
        folder: the container's.

    Raises:
        LabError: it runs, or its files can't be read.
    """
    record = state.read_record(folder)
    lock = lock_ended(folder)
    if record is None or lock is None:
        raise LabError(f"commit {folder.name}", "it is running, or gone", remedy="labrt stop it")
    try:
        now = int(time.time())
        image = store.load(record.spec.life.image, record.spec.image_digest)
        made = configuration.based_on(image, making.layers(image), now)
        with store.adding():
            layer = roots.changes(record.spec, now, roots.mounted_on(record.spec))
            made.record("labrt commit", layer)
            config = {**made.config, "created": configuration.timestamp(now)}
            return making.image(name, made.layers, config)
    finally:
        os.close(lock)
