"""A command in a virtual machine of its own, and what it wrote: `labrt.output`'s counterpart.

The image is the same digest that runs as a container; it boots in plain QEMU, without libvirt, runs
the command instead of its Cmd, and switches itself off. Host side.
"""

from __future__ import annotations

import time
from collections.abc import Sequence

from bench import accelerator, guest
from bench.plain_qemu import booting
from bench.subjects.base import InstanceFailed
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
    until = time.monotonic() + deadline
    with booting(built, accelerator.verdict().accelerator, memory, tuple(command)) as it:
        try:
            it.ports.accept(deadline)
            it.ports.marks.wait_end(max(until - time.monotonic(), 0.0))
        except InstanceFailed as failure:
            answer = f"{failure}; it wrote: {it.evidence()}"
            raise LabError(f"run {' '.join(command)} in a VM", answer) from None
        return it.ports.marks.tail.replace("\r\n", "\n").removeprefix(FIRST)
