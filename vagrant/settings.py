"""The settings that `./lab machine` shares with the Vagrantfile, which documents them."""

from __future__ import annotations

import os

from labrt.errors import LabError


def memory() -> int:
    """Return LAB_MEM, the machine's memory in MiB.

    Raises:
        LabError: not a number in its range; so for the others.
    """
    return _number("LAB_MEM", 4096, range(1024, 1_000_000))


def cpus() -> int:
    """Return LAB_CPUS, the number of virtual CPUs."""
    return _number("LAB_CPUS", 2, range(1, 65))


def port() -> int:
    """Return LAB_PORT, JupyterLab's port on this computer."""
    return _number("LAB_PORT", 8888, range(1024, 65_486))


def _number(name: str, default: int, known: range) -> int:
    said = os.environ.get(name, "")
    if not said:
        return default
    if said.isascii() and said.isdigit() and int(said) in known:
        return int(said)
    remedy = f"a whole number from {known[0]} to {known[-1]}"
    raise LabError(f"set {name}", f"{name}={said}", remedy=remedy)
