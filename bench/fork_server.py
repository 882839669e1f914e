"""labrt's fork server for the time of one sample: `labrt run` and `labrt-oci` with and without it.

There is one for each user, at an address that engines can't be told, so who measures asks first
that none of the user's own is there. Host side.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from bench import ways
from labrt import launching
from labrt.errors import LabError

PROGRAM = str(Path(sys.executable).parent / "labrt")


def refuse_users_own() -> None:
    """Refuse to measure beside one that the user has started.

    Raises:
        LabError: one runs.
    """
    if launching.fork_server_runs():
        raise LabError(
            "measure with and without a fork server",
            "one of yours runs",
            remedy="labrt forkserver --end",
        )


@contextmanager
def running() -> Iterator[None]:
    """Start one, wait until it has done a command, and end it after the block."""
    try:
        subprocess.run([PROGRAM, "forkserver"], check=True, timeout=60)  # it isn't our child then
        subprocess.run([PROGRAM, "help"], check=True, stdout=subprocess.DEVNULL, timeout=60)
        yield
    finally:
        launching.end_fork_server()


def with_it(way: ways.Way, names: dict[str, str]) -> ways.Way:
    """Return the same way with a fork server, which isn't timed: old name → new name."""

    def timed() -> dict[str, float]:
        with running():
            return {names[name]: took for name, took in way().items()}

    return timed
