"""labrt: a container runtime small enough to read in an evening.

    import labrt
    with labrt.run("busybox", ["sleep", "60"], memory="256m", cpus=1) as c:
        print(c.pid)

Begin reading at `recipe.py`. Names are loaded on first use, so that the command line starts fast.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from labrt.client import Container, output, run
    from labrt.errors import LabError

__all__ = ["Container", "LabError", "output", "run"]

_HOMES = {
    "Container": "labrt.client",
    "LabError": "labrt.errors",
    "output": "labrt.client",
    "run": "labrt.client",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'labrt' has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(_HOMES[name]), name)
