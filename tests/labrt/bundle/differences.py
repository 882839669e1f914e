"""The differences from runc that docs/oci.md lists with their reasons."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Callable
from typing import Any, NamedTuple


class Difference(NamedTuple):
    """One difference.

    Attributes:
        name: as docs/oci.md calls it.
        cases: in which bundles it shows, a regular expression.
        section: of the probe; "" where one of the two refuses the bundle.
        level: takes the lines of a section and returns them without the difference.
    """

    name: str
    cases: str
    section: str
    level: Callable[[list[str]], list[str]]


def without(pattern: str) -> Callable[[list[str]], list[str]]:
    """Leave out the lines that match."""
    return lambda lines: [line for line in lines if not re.search(pattern, line)]


def replaced(pattern: str, by: str = "") -> Callable[[list[str]], list[str]]:
    """Replace a part of each line."""
    return lambda lines: [re.sub(pattern, by, line) for line in lines]


def only_one(name: str, case: str) -> Difference:
    """One of the two refuses the bundle: nothing of it can be compared."""
    return Difference(name, case, "", lambda lines: [])


def runc_version() -> tuple[int, ...]:
    """(1, 1, 5); () where there is no runc."""
    try:
        told = subprocess.run(["runc", "--version"], capture_output=True, text=True).stdout
    except FileNotFoundError:
        return ()
    found = re.search(r"(\d+)\.(\d+)\.(\d+)", told)
    return tuple(map(int, found.groups())) if found else ()


DIFFERENCES: tuple[Difference, ...] = (
    Difference(
        "the folder of cgroup mounts",
        ".*",
        "mounts",
        replaced(r"(/sys/fs/cgroup / )r[ow](,.* tmpfs tmpfs )r[ow]", r"\1\2"),
    ),
    Difference(
        "masked folders",
        ".*",
        "mounts",
        replaced(r" ro(,nosuid,nodev)?,relatime - tmpfs tmpfs ro(,size=0k)?(,uid=\d+,gid=\d+)?$"),
    ),
    Difference("/dev/net/tun", ".*", "limited", without("c 10:200 rwm")),
    Difference(
        "mode of a tmpfs",
        ".*",
        "mounts",
        replaced(r"( - tmpfs tmpfs r[ow].*),mode=(1?755|1?777)$", r"\1"),
    ),
    Difference(
        "rootfsPropagation shared",
        "root-shared",
        "mounts",
        replaced("^(/ .*) shared -", r"\1 -"),
    ),
    Difference(
        "remount", "remount", "mounts", replaced("(/mnt / ro,relatime - tmpfs tmpfs) r[ow]")
    ),
    Difference(
        "owner of /dev/mqueue",
        "user-namespace",
        "devices",
        replaced("^(/dev/mqueue directory 1777) (0|65534):65534", r"\1"),
    ),
    Difference(
        "rules of default devices", "device-default-otherwise", "limited", without("c 1:7 rwm")
    ),
    *(
        only_one(name, case)
        for name, case in (
            ("an rlimit that is there twice", "rlimit-twice"),
            ("id maps without a user namespace", "map-without-user-namespace"),
            ("a device without a number", "device-without-number"),
            ("no /proc", "no-mounts"),
            ("the option defaults", "defaults"),
            ("unified beside v1", "unified"),
        )
    ),
    only_one("rootfsPropagation unbindable", "root-unbindable")
    if runc_version() < (1, 1, 15)
    else Difference(
        "rootfsPropagation unbindable",
        "root-unbindable",
        "mounts",
        replaced("^(/ .*) unbindable -", r"\1 -"),
    ),
)


def same(name: str, theirs: Any, ours: Any) -> tuple[set[str], list[str]]:
    """Compare what came of a bundle.

    Returns:
        The names of listed differences that were seen, and what else differs.
    """
    seen: set[str] = set()
    unlisted: list[str] = []
    listed = [each for each in DIFFERENCES if re.fullmatch(each.cases, name)]
    refused = [each.name for each in listed if not each.section]
    if refused and bool(theirs.status) != bool(ours.status):
        return {*refused}, []
    for section in sorted({*theirs.sections, *ours.sections}):
        one, other = theirs.sections.get(section, []), ours.sections.get(section, [])
        for difference in listed:
            if one != other and difference.section == section:
                levelled = difference.level(one), difference.level(other)
                seen |= {difference.name} if levelled != (one, other) else set()
                one, other = levelled
        if one != other:
            unlisted.append(f"{section}:\n" + "\n".join(told(one, other)))
    if theirs.status != ours.status:
        unlisted.append(f"status: {theirs.status} and {ours.status}")
    return seen, unlisted


def told(one: list[str], other: list[str]) -> list[str]:
    only_one = [f"  runc:  {line}" for line in one if line not in other]
    only_other = [f"  labrt: {line}" for line in other if line not in one]
    return only_one + only_other or ["  in another order"]
