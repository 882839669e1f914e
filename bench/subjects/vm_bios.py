"""The same virtual machine, booted as a PC is: SeaBIOS starts a boot loader from a disk, and that
loads the kernel (bench/boot_disk.py). QEMU is handed no kernel.
"""

from __future__ import annotations

from typing import ClassVar

from bench.subjects.vm import Vm
from bench.vm_setup import Setup


class VmBios(Vm):
    name: ClassVar = "vm-bios"
    title: ClassVar = "libvirt VM, boot loader"
    setup = Setup(boot="loader")
