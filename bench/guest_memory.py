"""How much of a QEMU process is its guest's RAM, and how much the hypervisor's own.

QEMU maps guest RAM as one anonymous area of exactly the RAM's size. Its PSS (proc(5), smaps) is
what the guest has touched; the rest of the process's PSS is what it costs to be a virtual machine.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class GuestMemory:
    """Bytes (PSS)."""

    guest_ram: int
    hypervisor: int


def read(pid: int, ram: int) -> GuestMemory:
    """Split the PSS of QEMU process `pid` whose guest has `ram` bytes of RAM.

    Raises:
        LookupError: no area, or more than one, could be the guest's RAM.
        OSError: the process has ended, or isn't ours to look at.
    """
    areas = _areas(Path(f"/proc/{pid}/smaps").read_text())
    candidates = [pss for size, pss in areas if size == ram]
    if len(candidates) != 1:
        raise LookupError(f"{len(candidates)} areas of {ram} bytes in process {pid}, expected one")
    return GuestMemory(candidates[0], sum(pss for _, pss in areas) - candidates[0])


def _areas(smaps: str) -> list[tuple[int, int]]:
    """Return size and PSS in bytes of each memory area."""
    sizes, shares = [], []
    for line in smaps.splitlines():
        if line.startswith("Size:"):
            sizes.append(int(line.split()[1]) * 1024)
        elif line.startswith("Pss:"):
            shares.append(int(line.split()[1]) * 1024)
    return list(zip(sizes, shares, strict=True))
