"""v1's other hierarchies: those whose controllers the lab itself has no use for (cgroups(7)).

`cgroups.py` speaks of the container's cgroup in v2's words, where that makes sense. A bundle may
ask for what only v1 has: devices, the classes of its packets, swappiness. And engines look for
their containers in every hierarchy, also in systemd's, which has no controller. So a bundle's
container has a cgroup of the same name in all of them.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import ClassVar

from labrt import cgroup_folders, paths
from labrt.calls import Call, write
from labrt.cgroup_layout import Hierarchy, base, hierarchies, layout
from labrt.errors import LabError, errno_text
from labrt.step import Context, Step


def others(name: str) -> tuple[str, ...]:
    """Return the folders of the cgroup `name` in hierarchies that the lab doesn't use, as far as
    this user may make some there."""
    used = set(layout().folders)
    bases = (base(each) for each in v1())
    return tuple(f"{here}/{name}" for here in bases if here is not None and here not in used)


@cache
def v1() -> list[Hierarchy]:
    """Return all v1 hierarchies of this host; it doesn't change them while it runs."""
    return [each for each in hierarchies() if each.controllers]


def folder(controller: str, name: str) -> Path | None:
    """Return the cgroup `name` in the v1 hierarchy of a controller, None where there is none."""
    found = next((each for each in v1() if controller in each.controllers), None)
    here = base(found) if found else None
    return here / name if here else None


@contextmanager
def changed(files: tuple[tuple[str, str], ...]) -> Iterator[None]:
    """Write files of v1; put them back where that, or the block, fails.

    Raises:
        LabError: the kernel refused one.
    """
    before: list[tuple[str, str]] = []
    try:
        for file, text in files:
            had = paths.read(file).strip()
            _write(file, text)
            before.append((file, had))
        yield
    except BaseException:
        for file, text in reversed(before):
            _write(file, text)
        raise


def _write(file: str, text: str) -> None:
    try:
        paths.write(file, text)
    except OSError as error:
        raise LabError(f"write {text} into {file}", errno_text(error)) from error


class CreateInHierarchies(Step):
    side: ClassVar = "host"
    man: ClassVar = "cgroups(7)"
    reason: ClassVar = "engines look for a container in every v1 hierarchy"

    def __init__(self, folders: tuple[str, ...]) -> None:
        self.folders = folders

    def describe(self) -> str:
        return f"mkdir {', '.join(self.folders)}"

    def do(self, context: Context) -> None:
        for each in self.folders:
            cgroup_folders.make(Path(each), ())

    def undo(self, context: Context) -> None:
        for each in self.folders:
            for inner in cgroup_folders.tree(Path(each)):
                cgroup_folders.remove(inner)


class WriteCgroupFile(Step):
    side: ClassVar = "host"
    man: ClassVar = "cgroups(7)"
    reason: ClassVar = "asked for; v2 has no word for it"

    def __init__(self, file: str, text: str) -> None:
        self.file = file
        self.text = text

    def describe(self) -> str:
        return f"write {self.text} into {self.file}"

    def do(self, context: Context) -> None:
        paths.write(self.file, self.text)

    def likely(self, error: OSError) -> tuple[str, str]:
        if error.errno in (errno.ENOENT, errno.EACCES):
            return f"this kernel has no {os.path.basename(self.file)} to write", "leave it out"
        return "", ""


class JoinHierarchies(Step):
    """As `JoinV1Cgroup`: who moves itself needs no lock against every fork of the machine."""

    side: ClassVar = "container"
    man: ClassVar = "cgroups(7)"
    reason: ClassVar = "it is the same cgroup's in every v1 hierarchy"

    def __init__(self, folders: tuple[str, ...]) -> None:
        self.files = [f"{each}/tasks" for each in folders]

    def describe(self) -> str:
        return f"echo 0 > {', '.join(self.files)}"

    def calls(self, context: Context) -> list[Call]:
        return [each for file in self.files for each in write(file, b"0")]
