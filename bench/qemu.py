"""The lab's virtual machine, said twice: as a libvirt domain and as QEMU arguments.

Machine type q35 under KVM and under TCG (software emulation) alike. Nothing that the guest doesn't
use: no graphics, USB, balloon or network, and a disk only where the image is on one. Two serial
ports: the kernel's console (evidence when a boot fails) and the entry point's standard input and
output (the marks).

https://libvirt.org/formatdomain.html, qemu(1).
"""

from __future__ import annotations

import functools
import re
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Literal
from xml.sax.saxutils import escape

from bench.guest import COMMAND_LINE
from labrt.errors import LabError

Accelerator = Literal["kvm", "tcg"]

BINARY = "qemu-system-x86_64"
MACHINE = "q35"
# KVM runs the guest on the host's CPU as it is; TCG emulates the plainest 64-bit one.
CPU = {"kvm": "host", "tcg": "qemu64"}
DOMAIN_TYPE = {"kvm": "kvm", "tcg": "qemu"}
DOMAIN_CPU = {
    "kvm": "<cpu mode='host-passthrough'/>",
    "tcg": "<cpu mode='custom' match='exact' check='none'><model>qemu64</model></cpu>",
}


# What the kernel's command line carries without quotes.
WORD = re.compile(r"[\w./=:,+@%-]+", re.ASCII)


@dataclass(frozen=True)
class Machine:
    """One virtual machine.

    Attributes:
        name: of the instance, "lab-…".
        kernel, initramfs, disk: files that the user whom QEMU runs as can read.
        console, stdio: Unix sockets of the host that the two serial ports connect to.
        memory: guest RAM, bytes.
        vcpus: number of virtual CPUs.
        io: bytes/s that it may read from its disk, and as many to write; None: no limit.
        command: replaces the image's Cmd; see `command_line`.
    """

    name: str
    kernel: Path
    initramfs: Path
    console: Path
    stdio: Path
    memory: int
    vcpus: int
    accelerator: Accelerator
    disk: Path | None = None
    command: tuple[str, ...] = ()
    io: int | None = None


def command_line(machine: Machine) -> str:
    """Return the kernel's command line. Words after "--" become process 1's arguments, and it hands
    them on to the entry point (the kernel's Documentation/admin-guide/kernel-parameters.rst).

    Raises:
        LabError: a word that the command line can't carry.
    """
    for word in machine.command:
        if not WORD.fullmatch(word):
            raise LabError(
                f"hand {word!r} to a guest",
                "the kernel's command line carries plain words only",
                remedy="put it into a script of the image",
            )
    return " ".join([COMMAND_LINE, *(("--", *machine.command) if machine.command else ())])


def binary() -> str:
    """Return QEMU's path.

    Raises:
        LabError: it isn't installed.
    """
    if found := shutil.which(BINARY):
        return found
    raise LabError(
        "find QEMU", f"no {BINARY}", remedy="run ./lab setup (Debian package qemu-system-x86)"
    )


@functools.cache
def version() -> str:
    """Return QEMU's version as it tells it, "7.2.22 (Debian …)"."""
    said = subprocess.run([binary(), "--version"], capture_output=True, text=True, check=True)
    return said.stdout.splitlines()[0].removeprefix("QEMU emulator version ")


def domain_xml(machine: Machine) -> str:
    """Return the libvirt domain.

    on_reboot and on_crash: a guest that panics resets, and a domain that resets is over.
    """
    kernel, initramfs, console, stdio, emulator = (
        escape(str(path))
        for path in (
            machine.kernel,
            machine.initramfs,
            machine.console,
            machine.stdio,
            binary(),
        )
    )
    return f"""\
<domain type='{DOMAIN_TYPE[machine.accelerator]}'>
  <name>{escape(machine.name)}</name>
  <memory unit='b'>{machine.memory}</memory>
  <vcpu>{machine.vcpus}</vcpu>
  <os>
    <type arch='x86_64' machine='{MACHINE}'>hvm</type>
    <kernel>{kernel}</kernel>
    <initrd>{initramfs}</initrd>
    <cmdline>{escape(command_line(machine))}</cmdline>
  </os>
  <features><acpi/></features>
  {DOMAIN_CPU[machine.accelerator]}
  <on_poweroff>destroy</on_poweroff>
  <on_reboot>destroy</on_reboot>
  <on_crash>destroy</on_crash>
  <devices>
    <emulator>{emulator}</emulator>
{_disk_xml(machine)}\
    <controller type='usb' model='none'/>
    <memballoon model='none'/>
    <serial type='unix'><source mode='connect' path='{console}'/></serial>
    <serial type='unix'><source mode='connect' path='{stdio}'/></serial>
  </devices>
</domain>
"""


def _disk_xml(machine: Machine) -> str:
    if machine.disk is None:
        return ""
    return f"""\
    <disk type='file'>
      <driver name='qemu' type='raw'/>
      <source file='{escape(str(machine.disk), {"'": "&apos;"})}'/>
      <target dev='vda' bus='virtio'/>
      <readonly/>
{_throttle_xml(machine.io)}    </disk>
"""


def _throttle_xml(rate: int | None) -> str:
    if rate is None:
        return ""
    each = (f"<{way}_bytes_sec>{rate}</{way}_bytes_sec>" for way in ("read", "write"))
    return f"      <iotune>{''.join(each)}</iotune>\n"


def arguments(machine: Machine) -> list[str]:
    """Return a QEMU command for the same machine, started without libvirt."""
    return [
        binary(),
        *("-name", machine.name),
        *("-machine", MACHINE, "-accel", machine.accelerator, "-cpu", CPU[machine.accelerator]),
        *("-m", f"size={machine.memory // 1024}k", "-smp", str(machine.vcpus)),
        *("-no-user-config", "-nodefaults", "-display", "none", "-no-reboot"),
        *("-kernel", str(machine.kernel), "-initrd", str(machine.initramfs)),
        *("-append", command_line(machine)),
        *("-chardev", f"socket,id=console,path={machine.console}", "-serial", "chardev:console"),
        *("-chardev", f"socket,id=stdio,path={machine.stdio}", "-serial", "chardev:stdio"),
        *(("-drive", _drive(machine.disk, machine.io)) if machine.disk else ()),
    ]


def _drive(disk: Path, io: int | None) -> str:
    file = str(disk).replace(",", ",,")  # QEMU's way to write a comma
    throttle = "" if io is None else f",throttling.bps-read={io},throttling.bps-write={io}"
    return f"if=virtio,format=raw,readonly=on,file={file}{throttle}"
