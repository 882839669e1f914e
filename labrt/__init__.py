"""labrt: a container runtime small enough to read in an evening.

    import labrt
    with labrt.run("busybox", ["sleep", "60"], memory="256m", cpus=1) as c:
        print(c.pid)

Begin reading at `recipe.py`. Names are loaded on first use, so that the command line starts fast.
"""

from __future__ import annotations

TYPE_CHECKING = False  # as typing has it, whose import a command would wait for
if TYPE_CHECKING:
    from typing import Any

    from labrt.applying import apply
    from labrt.building.apart import build
    from labrt.client import Container, create, output, run
    from labrt.errors import LabError
    from labrt.handle import Handle, containers, find
    from labrt.lessons.checks import check, draw
    from labrt.lessons.diagrams import compare_namespaces, diagram
    from labrt.lessons.notebook import begin, clean_up
    from labrt.lessons.predictions import outcome, predict
    from labrt.lessons.recipes import recipe_table
    from labrt.lessons.snapshots import diff

__all__ = [
    "Container",
    "Handle",
    "LabError",
    "apply",
    "begin",
    "build",
    "check",
    "clean_up",
    "compare_namespaces",
    "containers",
    "create",
    "diagram",
    "diff",
    "draw",
    "find",
    "outcome",
    "output",
    "predict",
    "recipe_table",
    "run",
]

_HOMES = {
    "Container": "labrt.client",
    "build": "labrt.building.apart",
    "Handle": "labrt.handle",
    "LabError": "labrt.errors",
    "containers": "labrt.handle",
    "create": "labrt.client",
    "apply": "labrt.applying",
    "find": "labrt.handle",
    "output": "labrt.client",
    "run": "labrt.client",
    # For the notebooks.
    "begin": "labrt.lessons.notebook",
    "check": "labrt.lessons.checks",
    "clean_up": "labrt.lessons.notebook",
    "compare_namespaces": "labrt.lessons.diagrams",
    "diagram": "labrt.lessons.diagrams",
    "diff": "labrt.lessons.snapshots",
    "draw": "labrt.lessons.checks",
    "outcome": "labrt.lessons.predictions",
    "predict": "labrt.lessons.predictions",
    "recipe_table": "labrt.lessons.recipes",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'labrt' has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(_HOMES[name]), name)
