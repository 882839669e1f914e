"""The smallest virtual machine: one processor, a page of code that prints a line, no kernel.

The same guest, a boot sector of 16-bit code, is run by the KVM API called directly, or by QEMU. It
writes its line byte by byte to port 0xe9 and then 0 to port 0xf4, which ends it. Host side; lesson:
notebook 19.

The kernel's Documentation/virt/kvm/api.rst; ioctl(2).
"""

from __future__ import annotations

import ctypes
import fcntl
import mmap
import os
import struct
import subprocess
import tempfile
from pathlib import Path

from bench import accelerator, qemu
from labrt import paths
from labrt.errors import LabError, errno_text

WHERE = 0x7C00  # a BIOS puts a boot sector there, and so do we
SECTOR = 512
PRINT, END = 0xE9, 0xF4  # ports
SECONDS = 20.0  # QEMU may take; it needs a tenth of one

CODE = bytes.fromhex(
    "31c0"  # 00  xor ax, ax
    "8ed8"  # 02  mov ds, ax
    "fc"  #   04  cld
    "be167c"  # 05  mov si, WHERE + 22
    "ac"  #   08  lodsb            al = the next byte of the line
    "84c0"  # 09  test al, al
    "7404"  # 11  jz 17            it was the last
    "e6e9"  # 13  out PRINT, al
    "ebf7"  # 15  jmp 8
    "e6f4"  # 17  out END, al
    "f4"  #   19  hlt
    "ebfd"  # 20  jmp 19
)

# ioctl(2) requests and exits of include/uapi/linux/kvm.h.
KVM_CREATE_VM, KVM_GET_VCPU_MMAP_SIZE, KVM_CREATE_VCPU, KVM_RUN = 0xAE01, 0xAE04, 0xAE41, 0xAE80
KVM_SET_USER_MEMORY_REGION = 0x4020AE46
KVM_SET_REGS, KVM_GET_SREGS, KVM_SET_SREGS = 0x4090AE82, 0x8138AE83, 0x4138AE84
KVM_EXIT_IO = 2
EXIT_REASON, EXIT_IO = 8, 32  # offsets in struct kvm_run
RAM = 64 * 1024


def program(line: str) -> bytes:
    """Return a boot sector that prints a line.

    Raises:
        LabError: it is too long, or isn't plain ASCII.
    """
    text = line.encode("ascii", errors="replace") + b"\n\0"
    room = SECTOR - 2 - len(CODE)
    if len(text) > room or not line.isascii():
        raise LabError("put the line into a boot sector", f"it holds {room - 2} ASCII letters")
    return (CODE + text).ljust(SECTOR - 2, b"\0") + b"\x55\xaa"


def run(line: str) -> tuple[str, str]:
    """Run the guest as this host can; return how, and what the guest printed.

    Raises:
        LabError: it can't be run.
    """
    verdict = accelerator.verdict()
    if verdict.accelerator == "kvm":
        return "the KVM API", under_kvm(program(line))
    return f"QEMU with TCG ({verdict.reason})", under_qemu(program(line))


def under_qemu(sector: bytes) -> str:
    """Let QEMU emulate a PC that boots the sector from a disk.

    Raises:
        LabError: there is no QEMU, or the guest doesn't end.
    """
    with tempfile.TemporaryDirectory(prefix="qemu-", dir=paths.run_dir()) as folder:
        disk = Path(folder) / "disk"
        disk.write_bytes(sector)
        command = [
            *(qemu.binary(), "-accel", "tcg", "-nodefaults", "-no-user-config", "-display", "none"),
            *("-drive", f"format=raw,file={disk}", "-debugcon", "stdio"),
            *("-device", f"isa-debug-exit,iobase={END:#x},iosize=1"),
        ]
        try:
            done = subprocess.run(
                command, stdin=subprocess.DEVNULL, capture_output=True, timeout=SECONDS
            )
        except subprocess.TimeoutExpired:
            raise LabError("run a tiny guest", f"it hadn't ended after {SECONDS:g} s") from None
    if done.returncode != 1:  # isa-debug-exit: twice the byte that was written, plus 1
        raise LabError("run a tiny guest", done.stderr.decode(errors="replace").strip())
    return done.stdout.decode()


def under_kvm(sector: bytes) -> str:
    """Be the hypervisor: make a machine of memory and one processor, and do what it asks for.

    Raises:
        LabError: the kernel's answer.
    """
    try:
        with open("/dev/kvm", "r+b", buffering=0) as kvm, mmap.mmap(-1, RAM) as ram:
            return _machine(kvm.fileno(), ram, sector)
    except OSError as error:
        raise LabError("run a tiny guest under KVM", errno_text(error)) from error


def _machine(kvm: int, ram: mmap.mmap, sector: bytes) -> str:
    ram[WHERE : WHERE + len(sector)] = sector
    address = ctypes.addressof(ctypes.c_char.from_buffer(ram))
    machine = fcntl.ioctl(kvm, KVM_CREATE_VM, 0)
    try:
        # struct kvm_userspace_memory_region: slot, flags, guest address, size, our address
        region = struct.pack("IIQQQ", 0, 0, 0, RAM, address)
        fcntl.ioctl(machine, KVM_SET_USER_MEMORY_REGION, region)
        processor = fcntl.ioctl(machine, KVM_CREATE_VCPU, 0)
        try:
            _prepare(processor)
            size = fcntl.ioctl(kvm, KVM_GET_VCPU_MMAP_SIZE, 0)
            with mmap.mmap(processor, size) as shared:
                return _serve(processor, shared)
        finally:
            os.close(processor)
    finally:
        os.close(machine)


def _prepare(processor: int) -> None:
    """Let the processor begin at WHERE, in real mode as after a reset."""
    special = bytearray(0x138)  # struct kvm_sregs; first the code segment: base, limit, selector
    fcntl.ioctl(processor, KVM_GET_SREGS, special)
    struct.pack_into("Q4xH", special, 0, 0, 0)
    fcntl.ioctl(processor, KVM_SET_SREGS, bytes(special))
    registers = [0] * 16 + [WHERE, 2]  # struct kvm_regs: …, rip, rflags (bit 1 is always set)
    fcntl.ioctl(processor, KVM_SET_REGS, struct.pack("18Q", *registers))


def _serve(processor: int, shared: mmap.mmap) -> str:
    """Run until the guest ends itself; each byte that it prints is one exit to us."""
    printed = bytearray()
    while True:
        fcntl.ioctl(processor, KVM_RUN, 0)
        (reason,) = struct.unpack_from("I", shared, EXIT_REASON)
        _, _, port, _, offset = struct.unpack_from("BBHIQ", shared, EXIT_IO)
        if reason != KVM_EXIT_IO or port not in (PRINT, END):
            raise LabError("run a tiny guest under KVM", f"an exit not asked for, number {reason}")
        if port == END:
            return printed.decode()
        printed.append(shared[offset])
