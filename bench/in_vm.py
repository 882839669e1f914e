"""A command in a virtual machine of its own, and what it wrote: `labrt.output`'s counterpart.

The image is the same digest that runs as a container; it boots in plain QEMU, without libvirt, runs
the command instead of its Cmd, and switches itself off. Host side.
"""

from __future__ import annotations

import os
import subprocess
import tempfile
import time
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path

from bench import accelerator, guest, qemu
from bench.qemu import Machine
from bench.serial_ports import SerialPorts
from bench.subjects.base import InstanceFailed
from labrt import paths
from labrt.errors import LabError
from labrt.images import store

MEMORY = 256 << 20  # bytes
FIRST = "lab:init\n"  # the guest's process 1 writes it before anything else


def output(image: str, command: Sequence[str], memory: int = MEMORY, deadline: float = 60.0) -> str:
    """Boot `image`, run `command` in it and return what it wrote, output and errors (at most its
    last 64 KiB).

    Args:
        command: replaces the image's Cmd; see `bench.qemu.command_line` for what it can hold.
        memory: guest RAM, bytes.
        deadline: seconds from the call to its end.

    Raises:
        LabError: there is no guest to boot, or it didn't end in time. Nothing is left running.
    """
    built = guest.build(store.resolve(image))
    with ExitStack() as stack:
        folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="vm-", dir=paths.run_dir()))
        ports = SerialPorts(Path(folder), (os.geteuid(), os.getegid()))
        stack.callback(ports.close)
        machine = Machine(
            name="lab-output",
            kernel=built.kernel.path,
            initramfs=built.initramfs,
            console=ports.console_path,
            stdio=ports.stdio_path,
            memory=memory,
            vcpus=1,
            accelerator=accelerator.verdict().accelerator,
            command=tuple(command),
        )
        arguments, until = qemu.arguments(machine), time.monotonic() + deadline
        process = stack.enter_context(_started(arguments))
        stack.callback(process.kill)
        try:
            ports.accept(deadline)
            ports.marks.wait_end(max(until - time.monotonic(), 0.0))
        except InstanceFailed as failure:
            said = ports.evidence()
            raise LabError(
                f"run {' '.join(command)} in a VM", f"{failure}; it wrote: {said}"
            ) from None
        return ports.marks.tail.replace("\r\n", "\n").removeprefix(FIRST)


def _started(arguments: Sequence[str]) -> subprocess.Popen[bytes]:
    quiet = subprocess.DEVNULL
    return subprocess.Popen(arguments, stdin=quiet, stdout=quiet, stderr=quiet)
