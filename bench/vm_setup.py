"""How a virtual machine is put together and booted: what the VM subjects, and the rungs of the
ladder, differ in. Everything else (image, CPUs, memory) is the workload's.

    machine     q35      a PC of 2009 with PCI Express
                microvm  QEMU's least one: no PCI, devices by virtio-mmio
    firmware    SeaBIOS  a whole BIOS; qboot: only what hands over to a kernel
    boot        kernel   QEMU puts kernel and initramfs into the guest's memory (direct kernel boot)
                loader   the firmware reads a boot loader from a disk, and that the kernel

https://www.qemu.org/docs/master/system/i386/microvm.html,
https://www.qemu.org/docs/master/system/linuxboot.html
"""

from __future__ import annotations

import functools
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

from bench.guest import COMMAND_LINE, Root
from bench.subjects.base import Workload
from labrt.errors import LabError

QBOOT = "qboot.rom"

# What the kernel does where a word of its command line is missing.
WORDS = {
    "kernel's messages shown": "quiet",
    "kernel tests its ciphers": "cryptomgr.notests",
    "no serial console": "console=ttyS0",
}


@dataclass(frozen=True)
class Setup:
    """One way; the default is that of the subject `vm`.

    Attributes:
        root: where the guest has the image.
        acpi: the machine describes itself to the kernel by ACPI; without it there is no power
            button.
        extras: the USB controller and the memory balloon that libvirt gives whoever says nothing.
        command_line: the kernel's.
        times_cpus, times_memory: of what the workload asks for.
    """

    machine: Literal["q35", "microvm"] = "q35"
    firmware: Literal["SeaBIOS", "qboot"] = "SeaBIOS"
    boot: Literal["kernel", "loader"] = "kernel"
    root: Root = "initramfs"
    acpi: bool = True
    extras: bool = False
    command_line: str = COMMAND_LINE
    times_cpus: int = 1
    times_memory: int = 1

    def applied(self, workload: Workload) -> Workload:
        """Return what the machine gets of CPUs and memory.

        Raises:
            LabError: its kernel would find fewer CPUs.
        """
        if self.machine == "microvm" and workload.cpus * self.times_cpus > 1:
            raise LabError(
                "give a microvm more than one CPU",
                "its kernel finds only the first",
                "no ACPI tells it of others",
                "choose another machine",
            )
        return replace(
            workload,
            cpus=workload.cpus * self.times_cpus,
            memory=workload.memory * self.times_memory,
        )

    def conditions(self) -> dict[str, Any]:
        """What rows are stamped with."""
        return {
            "machine": self.machine,
            "firmware": self.firmware,
            "boot": self.boot,
            "guest_root": self.root,
            "acpi": self.acpi,
        }


# Without ACPI, because with it the kernel has only the TSC to calibrate its timer by, and that, in
# turn, by a loop on the PIT, which under emulation on a busy host fails: then it waits for ever.
# QEMU's own choice of firmware for such a machine is qboot.
MICROVM = Setup(machine="microvm", firmware="qboot", acpi=False)


def one_change_each(setup: Setup) -> Iterator[tuple[str, Setup]]:
    """Yield what is changed, and the setup with that change and no other."""
    if setup == Setup():
        yield "firmware qboot", replace(setup, firmware="qboot")
        yield "no ACPI", replace(setup, acpi=False)
        yield "microvm (qboot, no ACPI)", MICROVM
        yield "boot loader on a disk", replace(setup, boot="loader")
        yield "image on a disk", replace(setup, root="disk")
        yield "libvirt's extra devices", replace(setup, extras=True)
        yield "twice the CPUs", replace(setup, times_cpus=2)
    for said, word in WORDS.items():
        words = [each for each in setup.command_line.split() if each != word]
        yield said, replace(setup, command_line=" ".join(words))
    yield "twice the memory", replace(setup, times_memory=2)


@functools.cache
def qboot() -> Path:
    """Return the path of QEMU's qboot.

    Raises:
        LabError: this QEMU has none.
    """
    from bench import qemu

    told = subprocess.run([qemu.binary(), "-L", "help"], capture_output=True, text=True).stdout
    for folder in told.splitlines():
        if (file := Path(folder) / QBOOT).exists():
            return file.resolve()
    raise LabError(
        "boot by qboot",
        f"no {QBOOT} in QEMU's folders",
        remedy="install it (Debian package qemu-system-data)",
    )
