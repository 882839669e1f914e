"""The same virtual machine with qboot, a firmware that does nothing but find the kernel which QEMU
has at hand and start it, where SeaBIOS first looks at all of the machine.
"""

from __future__ import annotations

from typing import ClassVar

from bench.subjects.vm import Vm
from bench.vm_setup import Setup


class VmQboot(Vm):
    name: ClassVar = "vm-qboot"
    title: ClassVar = "libvirt VM, qboot"
    setup = Setup(firmware="qboot")
