"""A guest in QEMU alone, without libvirt, for as long as a block lasts. Host side."""

from __future__ import annotations

import os
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from bench import qemu
from bench.guest import Guest
from bench.qemu import Accelerator, Machine
from bench.serial_ports import SerialPorts
from labrt import paths


@dataclass(frozen=True)
class Booting:
    """A guest on its way.

    Attributes:
        called: when QEMU was called, CLOCK_MONOTONIC ns of the host.
        ports: what it connects to; `accept` comes first.
    """

    called: int
    ports: SerialPorts
    _process: subprocess.Popen[bytes]

    def evidence(self) -> str:
        """End it; return QEMU's own complaint, or else the guest's last words."""
        self._process.kill()
        assert self._process.stderr is not None, "it is a pipe"
        told = self._process.stderr.read().decode(errors="replace")
        return told.partition("\n")[0][:120] or self.ports.evidence()


@contextmanager
def booting(
    built: Guest,
    accelerator: Accelerator,
    memory: int,
    command: tuple[str, ...] = (),
    arguments: Callable[[Machine], list[str]] = qemu.arguments,
) -> Iterator[Booting]:
    """Start a guest; it is killed at the end of the block, and nothing is left of it.

    Args:
        memory: guest RAM, bytes.
        command: replaces the image's Cmd; see `bench.qemu.command_line`.
        arguments: gives the QEMU command that starts a machine.

    Raises:
        LabError: QEMU isn't installed; a word that can't be handed over.
    """
    with tempfile.TemporaryDirectory(prefix="qemu-", dir=paths.run_dir()) as folder:
        ports = SerialPorts(Path(folder), (os.geteuid(), os.getegid()))
        try:
            machine = Machine(
                name="lab-plain",
                kernel=built.kernel.path,
                initramfs=built.initramfs,
                disk=built.disk,
                console=ports.console_path,
                stdio=ports.stdio_path,
                memory=memory,
                vcpus=1,
                accelerator=accelerator,
                command=command,
            )
            words, quiet = arguments(machine), subprocess.DEVNULL
            called = time.monotonic_ns()
            with subprocess.Popen(
                words, stdin=quiet, stdout=quiet, stderr=subprocess.PIPE
            ) as process:
                try:
                    yield Booting(called, ports, process)
                finally:
                    process.kill()
        finally:
            ports.close()
