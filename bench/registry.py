"""Finding subjects and experiments: a folder is the list, a file is an entry.

The entry "labrt-cli" is the file labrt_cli.py. A file is imported when its entry is asked for, so a
subject whose library isn't installed here hinders nobody else.
"""

from __future__ import annotations

import importlib
import pkgutil
from typing import Any

from labrt.errors import LabError


def names_in(package: str) -> list[str]:
    """Return the entries of a package: its modules but `base` and those that begin with "_"."""
    paths = importlib.import_module(package).__path__
    found = [module.name for module in pkgutil.iter_modules(paths)]
    return [name.replace("_", "-") for name in found if name != "base" and not name.startswith("_")]


def load(package: str, name: str, base: type[Any]) -> Any:
    """Return the one class in `package`'s file for `name` that is a `base` and bears this `name`.

    Raises:
        LabError: there is no such entry.
    """
    what = package.rpartition(".")[2].rstrip("s")
    known = names_in(package)
    if name not in known:
        raise LabError(
            f"find the {what} {name!r}",
            "there is none of this name",
            remedy=f"choose from {', '.join(known)}",
        )
    module = importlib.import_module(f"{package}.{name.replace('-', '_')}")
    for entry in vars(module).values():
        if isinstance(entry, type) and issubclass(entry, base) and is_named(entry, name):
            return entry
    raise TypeError(f"{module.__name__} holds no {base.__name__} named {name!r}")


def is_named(entry: type[Any], name: str) -> bool:
    """True if a class says of itself that this is its name."""
    return getattr(entry, "name", None) == name
