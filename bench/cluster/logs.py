"""What Dask and Tornado log: what goes wrong in a fleet is told in the lab's own words."""

from __future__ import annotations

import logging


def only(level: int) -> None:
    """Have them log what is at least so bad. Call it once they are imported: Dask gives loggers of
    its own their levels."""
    for name in list(logging.root.manager.loggerDict):
        if name.partition(".")[0] in ("distributed", "tornado"):
            logging.getLogger(name).setLevel(level)
