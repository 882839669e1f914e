"""Id maps of a bundle: its user namespace's, and those of mounts (config-linux.md)."""

from __future__ import annotations

from labrt.bundle.reading import ID, Value
from labrt.spec import IdMapping

_MOST = 340  # lines of an id map (user_namespaces(7))

Mappings = tuple[IdMapping, ...]


def mappings(told: Value) -> Mappings:
    """Return id mappings.

    Raises:
        LabError: a value that is none, or more of them than the kernel takes.
    """
    found = tuple(
        IdMapping(
            each["containerID"].number(high=ID),
            each["hostID"].number(high=ID),
            each["size"].number(low=1),
        )
        for each in told
    )
    if len(found) > _MOST:
        raise told.wrong(f"the kernel takes no more than {_MOST}")
    return found
