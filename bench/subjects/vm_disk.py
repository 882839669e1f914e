"""The same virtual machine with its image on a disk, as most VMs have it, instead of in its RAM: a
read-only disk below a writable overlay.

A subject of its own, so that the two forms can be compared and are never mixed up.
"""

from __future__ import annotations

from typing import ClassVar

from bench.subjects.vm import Vm
from bench.vm_setup import Setup


class VmDisk(Vm):
    name: ClassVar = "vm-disk"
    title: ClassVar = "libvirt VM with a disk"
    setup = Setup(root="disk")
