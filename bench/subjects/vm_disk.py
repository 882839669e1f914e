"""The same virtual machine with its image on a disk, as most VMs have it, instead of in its RAM.

A subject of its own, so that the two forms can be compared and are never mixed up.
"""

from __future__ import annotations

from typing import ClassVar

from bench.guest import Root
from bench.subjects.vm import Vm


class VmDisk(Vm):
    """VMs of one libvirt connection, each with a read-only disk below a writable overlay."""

    name: ClassVar = "vm-disk"
    title: ClassVar = "libvirt VM with a disk"
    root: ClassVar[Root] = "disk"
