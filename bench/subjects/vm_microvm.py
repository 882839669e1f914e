"""The same virtual machine without most of a PC: QEMU's machine type microvm, which has no PCI bus,
no disk controller, no ACPI, and little for firmware and kernel to look for.

Without ACPI there is no power button: it can't be asked to stop, only ended.
"""

from __future__ import annotations

from typing import ClassVar

from bench.subjects.vm import Vm
from bench.vm_setup import MICROVM


class VmMicrovm(Vm):
    name: ClassVar = "vm-microvm"
    title: ClassVar = "libvirt VM, microvm"
    setup = MICROVM
