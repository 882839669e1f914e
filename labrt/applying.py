"""Applying: a file that declares containers is made true. The same file again changes nothing; of
a changed one, only the difference is done.

    [web]
    image = "busybox"
    command = ["httpd", "-f"]
    publish = ["8080:80"]
    memory = "64m"

A table is a container and its name; beside image and command, its keys are the options of `labrt
run`. A declared container is a `Spec`, so what is wanted and what is there are compared field by
field. Limits alone can be changed while it runs; for anything else it is made anew.
"""

from __future__ import annotations

import tomllib
from collections.abc import Iterator
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any, Literal

from labrt.declare import declare
from labrt.errors import LabError, errno_text
from labrt.handle import Handle, containers, start_detached
from labrt.images import store
from labrt.images.store import Image
from labrt.options import Options, given
from labrt.spec import Life, Spec

Deed = Literal["unchanged", "created", "started", "limited", "replaced", "removed"]

LABEL = "lab.file"  # on each container that was made so: the file that declares it
# Who declares a container says nothing of who waits for it or types into it.
_NOT_DECLARED = ("name", "rm", "detach", "interactive", "tty")
_KEYS = {each.name for each in fields(Options)} - set(_NOT_DECLARED)


@dataclass(frozen=True)
class Wanted:
    """A container as the file has it."""

    image: Image
    args: tuple[str, ...]
    options: Options

    def spec(self, container_id: str = "") -> Spec:
        return declare(self.image, self.args, self.options, container_id=container_id)


@dataclass(frozen=True, repr=False)
class Change:
    """What is to be done with one container; as text "web: replaced (process)".

    Attributes:
        differs: where wanted and found differ: a field of the spec, or of its limits a file of
            cgroup v2 → what is there and what is wanted, None for nothing.
    """

    name: str
    deed: Deed
    differs: dict[str, tuple[Any, Any]]
    found: Handle | None = None
    wanted: Wanted | None = None

    def __repr__(self) -> str:
        told = ", ".join(self._difference())
        return f"{self.name}: {self.deed}" + (f" ({told})" if told else "")

    def _difference(self) -> Iterator[str]:
        """A limit with its values; of the other fields, whose values are long, the name."""
        for field, (there, wanted) in self.differs.items():
            if self.deed == "limited":
                yield f"{field} {there or 'none'} → {wanted}"
            else:
                yield field.replace("_", " ")


def apply(file: str | Path) -> list[Change]:
    """Make it true that the containers which `file` declares run, and no others of this file.

    Returns:
        What was done with each, those that changed nothing included.

    Raises:
        LabError: the file can't be read or declares what can't be: nothing is changed. Or one of
            them could not be started or stopped: those before it are done.
    """
    wanted = read(file)
    done = []
    for change in changes(file, wanted):
        do(change)
        done.append(change)
    return done


def remove(file: str | Path) -> list[Change]:
    """Remove all containers of a file, which need not be there any more."""
    gone = list(changes(file, {}))
    for change in gone:
        do(change)
    return gone


def read(file: str | Path) -> dict[str, Wanted]:
    """Read what a file declares, by name.

    Raises:
        LabError: it can't be read, or a table is none of a container; an image isn't there, a
            wish is none.
    """
    try:
        tables = tomllib.loads(Path(file).read_text())
    except OSError as error:
        raise LabError(f"read {file}", errno_text(error)) from None
    except ValueError as error:  # not TOML, or not UTF-8
        raise LabError(f"read {file}", str(error), remedy="see https://toml.io") from None
    return {name: _wanted(file, name, table) for name, table in tables.items()}


def _wanted(file: str | Path, name: str, table: Any) -> Wanted:
    tried = f"read [{name}] in {file}"
    if not isinstance(table, dict) or not isinstance(table.get("image"), str):
        raise LabError(tried, "it names no image", remedy=f'[{name}], then image = "busybox"')
    keys = {key.replace("-", "_"): value for key, value in table.items()}
    image, command = keys.pop("image"), keys.pop("command", [])
    if not isinstance(command, list) or not all(isinstance(word, str) for word in command):
        raise LabError(tried, "its command is no list of words", remedy='["sleep", "60"]')
    if unknown := sorted(keys.keys() - _KEYS):
        raise LabError(
            tried, f"no option is called {unknown[0]!r}", remedy="labrt help run lists them"
        )
    for key, value in keys.items():
        _check(tried, key, value)
    labels = (*keys.pop("label", ()), f"{LABEL}={Path(file).resolve()}")
    options = given(**keys, name=name, label=labels, detach=True)
    wanted = Wanted(store.resolve(image), tuple(command), options)
    if not _shares(options):
        wanted.spec()  # which refuses what can't be, before anything is changed
    return wanted


def _check(tried: str, key: str, value: Any) -> None:
    """Refuse what isn't of the option's kind: a truth, a list, or a word or number."""
    default = Options.__dataclass_fields__[key].default
    kind: tuple[type, ...] = (str, int, float)
    if default is False:
        fits, needed = isinstance(value, bool), "true or false"
    elif default == ():
        listed = isinstance(value, list)
        fits = listed and all(isinstance(each, kind) for each in value)
        needed = "a list"
    else:
        fits, needed = isinstance(value, kind) and not isinstance(value, bool), "a word or a number"
    if not fits:
        raise LabError(tried, f"{key} is {value!r}", remedy=f"{key} takes {needed}")


def _shares(options: Options) -> bool:
    """Whether it joins another container, which may not be there yet."""
    sharing = (options.pid, options.ipc, options.uts, options.userns, options.cgroupns)
    return any((text or "").startswith("container:") for text in (*sharing, options.network))


def changes(file: str | Path, wanted: dict[str, Wanted]) -> Iterator[Change]:
    """Yield what is to be done, in order; do each before you ask for the next, on which it may
    depend.

    Raises:
        LabError: a name belongs to a container that is not of this file.
    """
    label = f"{LABEL}={Path(file).resolve()}"
    there = {handle.spec.life.name: handle for handle in containers(every=True)}
    for name in wanted.keys() & there.keys():
        if label not in there[name].spec.life.labels:
            raise LabError(
                f"apply {file}",
                f"the container {name!r} is there, and isn't of this file",
                remedy=f"call yours otherwise, or labrt rm {name}",
            )
    for name, found in there.items():  # first, for others may want their ports
        if label in found.spec.life.labels and name not in wanted:
            yield Change(name, "removed", {}, found)
    for name, wish in wanted.items():
        yield _change(name, wish, there.get(name))


def _change(name: str, wanted: Wanted, found: Handle | None) -> Change:
    if found is None:
        return Change(name, "created", {}, wanted=wanted)
    runs = found.status.state == "running"
    there, wish = found.spec, wanted.spec(found.id)
    differs = {
        each.name: (getattr(there, each.name), getattr(wish, each.name))
        for each in fields(Spec)
        if _declared(getattr(there, each.name)) != _declared(getattr(wish, each.name))
    }
    if not differs:
        return Change(name, "unchanged" if runs else "started", {}, found, wanted)
    if runs and differs.keys() == {"resources"} and there.resources.keys() <= wish.resources.keys():
        limits = {
            file: (there.resources.get(file), value)
            for file, value in wish.resources.items()
            if there.resources.get(file) != value
        }
        return Change(name, "limited", limits, found, wanted)
    return Change(name, "replaced", differs, found, wanted)


def _declared(value: Any) -> Any:
    """A field of a spec without what is of one start alone."""
    return replace(value, created=0.0, detached=False) if isinstance(value, Life) else value


def do(change: Change) -> None:
    """Do it.

    Raises:
        LabError: the kernel or the host didn't let us.
    """
    found, wanted = change.found, change.wanted
    if found and change.deed in ("removed", "replaced"):
        if found.status.state == "running":
            found.stop()
        found.remove(force=True)
    if found and wanted and change.deed == "limited":
        found.update(wanted.options)
    if found and change.deed == "started":
        found.start()
    if wanted and change.deed in ("created", "replaced"):
        start_detached(wanted.spec())
