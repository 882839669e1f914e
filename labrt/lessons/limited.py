"""Containers with limits, in lessons: where this host refuses them, the cell says why, and the
lesson goes on.

A cell that asks something of such a container is tagged "raises-exception" in the notebook: it may
end with a LabError, which is told in one line, and the next cell runs all the same.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import Any, NoReturn

from labrt import client
from labrt.errors import LabError


class Refused:
    """Stands for a container that this host refused; whatever is asked of it is refused, too."""

    def __getattr__(self, name: str) -> NoReturn:
        if name.startswith("_"):
            raise AttributeError(name)  # what Python and IPython ask of every object
        raise LabError(
            "use this container",
            "it wasn't started, for this host refused its limits",
            remedy="see the first cell",
        )

    def __repr__(self) -> str:
        return "no container"


def limited(image: str, args: Sequence[str], **options: Any) -> client.Container | Refused:
    """Start a container as `labrt.run` does; where that is refused, tell why.

    Args:
        image, args, options: as of `labrt.run`.
    """
    try:
        return client.run(image, args, **options)
    except LabError as error:
        print(f"labrt: {error}", file=sys.stderr)
        return Refused()
