"""What a lesson needs of this host. The best way to know is to try: each probe does the thing."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Callable
from dataclasses import dataclass
from importlib.util import find_spec

from labrt.errors import LabError


@dataclass(frozen=True)
class Need:
    """One thing a lesson needs.

    Attributes:
        what: "start a container".
        purpose: which part of the lesson needs it.
        probe: raises LabError, with cause and remedy, if this host hasn't got it.
    """

    what: str
    purpose: str
    probe: Callable[[], None]


def linux() -> None:
    if sys.platform != "linux":
        raise LabError(
            "begin", f"this is {sys.platform}", "containers are Linux processes", "vagrant up"
        )


def container() -> None:
    """Start one and let it end. Builds the image where it is missing."""
    from labrt import client
    from labrt.images import base

    base.ensure("busybox")
    client.output("busybox", ["true"])


def limits() -> None:
    from labrt import cgroups

    if reason := cgroups.unavailable():
        why, _, remedy = reason.rpartition("; ")
        raise LabError("limit a container", why, remedy=remedy)


def programs(purpose: str, packages: str, *names: str) -> Need:
    """Return the need for programs of the host's.

    Args:
        packages: what to install for them, "util-linux and hostname".
    """

    def probe() -> None:
        missing = [name for name in names if shutil.which(name) is None]
        if missing:
            remedy = f"install the packages {packages}"
            raise LabError(f"find {' and '.join(missing)}", "not installed", remedy=remedy)

    return Need(", ".join(names), purpose, probe)


def vm() -> None:
    """Look for what a guest boots with; the boot itself takes seconds."""
    from labrt import paths

    if shutil.which("qemu-system-x86_64") is None:
        raise LabError("boot a virtual machine", "no QEMU", remedy="run ./lab setup")
    folder = paths.home() / "kernels"
    if not (os.environ.get("LAB_KERNEL") or os.access(folder, os.R_OK | os.X_OK)):
        raise LabError(
            "boot a virtual machine",
            f"no guest kernel in {folder}",
            remedy="run ./lab setup, or name one with LAB_KERNEL",
        )


def libvirt() -> None:
    """Look for its Python library; the bench is to import it first, and sets it up before."""
    if find_spec("libvirt") is None:
        raise LabError("use libvirt", "no Python library of it", remedy="run ./lab setup")


CONTAINER = Need("start a container", "the whole lesson", container)
LIMITS = Need("limit a container", "one cell about memory", limits)
LIMITED = Need("limit a container", "all but a few cells, which say so", limits)
COMMANDS = programs(
    "looking in from outside; by hand", "util-linux and hostname", "nsenter", "unshare", "hostname"
)
PS = programs("the host's list of processes", "procps", "ps", "pgrep")
VM = Need("boot a virtual machine", "the cell about the other machine", vm)
