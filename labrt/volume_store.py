"""Named volumes: the lab's own folders that outlive containers.

    LAB_HOME/volumes/NAME/      what containers see; it belongs to the root of root's containers

Nothing else is stored about a volume. Whether one is in use is asked of the containers' records.
"""

from __future__ import annotations

import os
from pathlib import Path

from labrt import paths, state
from labrt.errors import LabError
from labrt.volumes import named, volumes_dir


def names() -> list[str]:
    """Return the names of all volumes."""
    return sorted(os.listdir(volumes_dir())) if volumes_dir().is_dir() else []


def find(name: str) -> Path:
    """Return a volume's folder.

    Raises:
        LabError: there is none of that name.
    """
    folder = named(name)
    if not folder.is_dir():
        raise LabError(f"find the volume {name!r}", "there is none", remedy="labrt volume ls")
    return folder


def users(name: str) -> list[str]:
    """Return the names of the containers that have a volume, running or not."""
    records = filter(None, map(state.read_record, state.folders()))
    place = str(named(name))
    return [
        record.spec.life.name
        for record in records
        if any(mount.source == place for mount in record.spec.mounts)
    ]


def remove(name: str) -> None:
    """Remove a volume and all in it.

    Raises:
        LabError: there is none of that name, or a container has it.
    """
    folder = find(name)
    with paths.locked(folder.parent):
        if in_use := users(name):
            raise LabError(
                f"remove the volume {name!r}",
                f"used by {', '.join(in_use)}",
                remedy="remove the container first: labrt rm",
            )
        state.remove_tree(folder)
