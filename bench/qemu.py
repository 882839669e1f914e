"""The lab's virtual machine, said twice: as a libvirt domain and as QEMU arguments.

The same under KVM and under TCG (software emulation). Nothing that the guest doesn't use: no
graphics, USB or balloon, a disk only where it has something on one or writes to it, a network card
only where it is asked for. Two serial ports: the kernel's console (evidence when a boot fails) and
the entry point's standard input and output (the marks). What may differ besides is in
bench/vm_setup.py.

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

from bench import vm_setup
from bench.bridge_port import Port
from bench.scratch import SERIAL
from bench.vm_setup import Setup
from labrt.errors import LabError

Accelerator = Literal["kvm", "tcg"]

BINARY = "qemu-system-x86_64"
# KVM runs the guest on the host's CPU as it is; TCG emulates the plainest 64-bit one.
CPU = {"kvm": "host", "tcg": "qemu64"}
DOMAIN_TYPE = {"kvm": "kvm", "tcg": "qemu"}
DOMAIN_CPU = {
    "kvm": "<cpu mode='host-passthrough'/>",
    "tcg": "<cpu mode='custom' match='exact' check='none'><model>qemu64</model></cpu>",
}


# What the kernel's command line carries: as it is, or between double quotes, which nothing escapes.
WORD, QUOTED = re.compile(r"[!#-~]+"), re.compile(r"[ !#-~]*")


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
        boot_disk: what the machine boots from if no kernel is handed to it.
        tap: the host's end of its network card; None: it has no card.
        scratch: a disk that it may write to (`bench.scratch`).
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
    boot_disk: Path | None = None
    setup: Setup = Setup()
    io: int | None = None
    tap: Port | None = None
    scratch: Path | None = None


def command_line(setup: Setup, command: tuple[str, ...], tap: Port | None = None) -> str:
    """Return the kernel's command line. Words after "--" become process 1's arguments, and it hands
    them on to the entry point (the kernel's Documentation/admin-guide/kernel-parameters.rst). The
    word lab.net is for process 1 itself (bench/guest_init.sh).

    Raises:
        LabError: a word that the command line can't carry.
    """
    words = [_word(word) for word in command]
    card = [f"lab.net={tap.address}/{tap.prefix},{tap.gateway}"] if tap else []
    return " ".join([setup.command_line, *card, *(("--", *words) if words else ())])


def _word(word: str) -> str:
    if WORD.fullmatch(word):
        return word
    if QUOTED.fullmatch(word):
        return f'"{word}"'
    raise LabError(
        f"hand {word!r} to a guest",
        "the kernel's command line carries printable ASCII letters without double quotes",
        remedy="put it into a script of the image",
    )


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
    return f"""\
<domain type='{DOMAIN_TYPE[machine.accelerator]}'>
  <name>{_text(machine.name)}</name>
  <memory unit='b'>{machine.memory}</memory>
  <vcpu>{machine.vcpus}</vcpu>
  <os>
    <type arch='x86_64' machine='{machine.setup.machine}'>hvm</type>
{_firmware_xml(machine.setup)}\
{_kernel_xml(machine)}\
  </os>
  <features>{"<acpi/>" if machine.setup.acpi else ""}</features>
  {DOMAIN_CPU[machine.accelerator]}
  <on_poweroff>destroy</on_poweroff>
  <on_reboot>destroy</on_reboot>
  <on_crash>destroy</on_crash>
  <devices>
    <emulator>{_text(binary())}</emulator>
{_disk_xml(machine.disk, "vda", rate=machine.io)}\
{_disk_xml(machine.boot_disk, "vdb", "<boot order='1'/>")}\
{_card_xml(machine.tap)}\
{_scratch_xml(machine.scratch, machine.io)}\
{"" if machine.setup.extras else NO_EXTRAS}\
    <serial type='unix'><source mode='connect' path='{_text(machine.console)}'/></serial>
    <serial type='unix'><source mode='connect' path='{_text(machine.stdio)}'/></serial>
  </devices>
</domain>
"""


NO_EXTRAS = """\
    <controller type='usb' model='none'/>
    <memballoon model='none'/>
"""


def _text(value: object) -> str:
    return escape(str(value), {"'": "&apos;"})


def _firmware_xml(setup: Setup) -> str:
    if setup.firmware == "SeaBIOS":
        return ""  # QEMU's own choice
    return f"    <loader type='rom'>{_text(vm_setup.qboot())}</loader>\n"


def _kernel_xml(machine: Machine) -> str:
    if machine.boot_disk is not None:
        return ""
    return f"""\
    <kernel>{_text(machine.kernel)}</kernel>
    <initrd>{_text(machine.initramfs)}</initrd>
    <cmdline>{_text(command_line(machine.setup, machine.command, machine.tap))}</cmdline>
"""


def _disk_xml(disk: Path | None, name: str, boot: str = "", rate: int | None = None) -> str:
    if disk is None:
        return ""
    return f"""\
    <disk type='file'>
      <driver name='qemu' type='raw'/>
      <source file='{_text(disk)}'/>
      <target dev='{name}' bus='virtio'/>{boot}
      <readonly/>
{_throttle_xml(rate)}    </disk>
"""


def _scratch_xml(scratch: Path | None, rate: int | None) -> str:
    """cache=none: what the guest writes isn't kept in the host's RAM besides. io=native: without a
    thread of QEMU's for each request; its file has all its room, so no request waits (qemu(1))."""
    if scratch is None:
        return ""
    return f"""\
    <disk type='file'>
      <driver name='qemu' type='raw' cache='none' io='native'/>
      <source file='{_text(scratch)}'/>
      <target dev='vdc' bus='virtio'/>
      <serial>{SERIAL}</serial>
{_throttle_xml(rate)}    </disk>
"""


def _throttle_xml(rate: int | None) -> str:
    if rate is None:
        return ""
    each = (f"<{way}_bytes_sec>{rate}</{way}_bytes_sec>" for way in ("read", "write"))
    return f"      <iotune>{''.join(each)}</iotune>\n"


def _card_xml(tap: Port | None) -> str:
    """managed: the tap is the lab's; libvirt opens it and changes nothing. No rom: nobody boots
    from the network."""
    if tap is None:
        return ""
    return f"""\
    <interface type='ethernet'>
      <mac address='{tap.mac}'/>
      <target dev='{tap.interface}' managed='no'/>
      <model type='virtio'/>
      <rom enabled='no'/>
    </interface>
"""


def arguments(machine: Machine) -> list[str]:
    """Return a QEMU command for the same machine in the default setup, started without libvirt."""
    assert machine.setup == Setup() and not machine.scratch, "the others are libvirt's alone"
    return [
        binary(),
        *("-name", machine.name),
        *("-machine", machine.setup.machine),
        *("-accel", machine.accelerator, "-cpu", CPU[machine.accelerator]),
        *("-m", f"size={machine.memory // 1024}k", "-smp", str(machine.vcpus)),
        *("-no-user-config", "-nodefaults", "-display", "none", "-no-reboot"),
        *("-kernel", str(machine.kernel), "-initrd", str(machine.initramfs)),
        *("-append", command_line(machine.setup, machine.command, machine.tap)),
        *("-chardev", f"socket,id=console,path={machine.console}", "-serial", "chardev:console"),
        *("-chardev", f"socket,id=stdio,path={machine.stdio}", "-serial", "chardev:stdio"),
        *(("-drive", _drive(machine.disk, machine.io)) if machine.disk else ()),
        *(_card(machine.tap) if machine.tap else ()),
    ]


def _card(tap: Port) -> list[str]:
    host = f"tap,id=card,ifname={tap.interface},script=no,downscript=no"
    return ["-netdev", host, "-device", f"virtio-net-pci,netdev=card,mac={tap.mac},romfile="]


def _drive(disk: Path, io: int | None) -> str:
    file = str(disk).replace(",", ",,")  # QEMU's way to write a comma
    throttle = "" if io is None else f",throttling.bps-read={io},throttling.bps-write={io}"
    return f"if=virtio,format=raw,readonly=on,file={file}{throttle}"
