"""Virtual machines as the host's kernel sees them: QEMU processes, whoever started them.

What a machine was given is read from QEMU's arguments, qemu(1), and its threads from
/proc/PID/task (proc(5)).
"""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from pathlib import Path

from labrt.lessons import observe
from labrt.lessons.graph import Edge, Graph, Node
from labrt.lessons.observe import HasPid
from labrt.lessons.shown import Shown, table

PROGRAM = "qemu-system"
UNITS = {"": 1.0, "k": 1 / 1024, "K": 1 / 1024, "M": 1.0, "G": 1024.0}  # in MiB
SIZE = re.compile(r"(?:size=)?(\d+)([kKMG]?)")


@dataclass(frozen=True)
class Machine:
    """One QEMU process.

    Attributes:
        name: as QEMU was told, "" if it wasn't.
        memory: guest RAM, MiB.
        by_libvirt: it is libvirt that gave it its arguments.
    """

    pid: int
    name: str
    memory: float
    cpus: int
    by_libvirt: bool

    def __str__(self) -> str:
        by = "libvirt's" if self.by_libvirt else "no libvirt"
        what = f"{self.memory:g} MiB, {self.cpus} CPUs, {by}"
        return f"{self.name or 'no name'} (pid {self.pid}): {what}"


def machines() -> list[Machine]:
    """Return those that run and whose arguments can be read, by pid."""
    running = [pid for pid in observe.processes() if observe.name(pid).startswith(PROGRAM)]
    return [machine for pid in running if (machine := _read(pid))]


def _read(pid: int) -> Machine | None:
    words = observe.command(pid)
    if not words:
        return None  # it ended
    name = _after(words, "-name").split(",")[0]
    size = SIZE.match(_after(words, "-m") or "128")  # QEMU's own choice, MiB
    cpus = re.match(r"(?:cpus=)?(\d+)", _after(words, "-smp") or "1")
    memory = int(size[1]) * UNITS[size[2]] if size else 0.0
    return Machine(
        pid,
        name.removeprefix("guest="),
        memory,
        int(cpus[1]) if cpus else 0,
        name.startswith("guest="),
    )


def _after(words: list[str], option: str) -> str:
    return words[words.index(option) + 1] if option in words[:-1] else ""


def threads(process: int | HasPid) -> dict[int, str]:
    """Return a process's threads, thread id → name; {} if it has ended."""
    folder = Path(f"/proc/{observe.pid_of(process)}/task")
    try:
        return {int(t.name): (t / "comm").read_text().strip() for t in sorted(folder.iterdir())}
    except (FileNotFoundError, ProcessLookupError):
        return {}


def ram(process: int | HasPid, mebibytes: int) -> str:
    """Return what /proc/PID/smaps says of the area that is a guest's RAM, "" if there is none: its
    size, and how much of it the host has handed out (Rss), kB (proc_pid_smaps(5))."""
    text = Path(f"/proc/{observe.pid_of(process)}/smaps").read_text()
    lines = [line for line in text.splitlines() if line.startswith(("Size:", "Rss:"))]
    pairs = zip(lines[::2], lines[1::2], strict=True)
    return next(("\n".join(p) for p in pairs if int(p[0].split()[1]) == mebibytes << 10), "")


def machine_picture(process: int | HasPid, guest_kernel: str, programs: int) -> Shown:
    """Draw a QEMU process with its threads on the host's kernel, and the guest on its own.

    Args:
        guest_kernel: its release, as the guest tells it.
        programs: how many processes the guest has, as it tells.
    """
    pid = observe.pid_of(process)
    host = f"the host's kernel: Linux {os.uname().release}"
    guest = f"the guest's kernel: Linux {guest_kernel}"
    found = threads(pid)
    nodes = [
        Node("qemu", f"{observe.name(pid)}\npid {pid}", "box", host),
        *(Node(f"t{tid}", f"{name}\nthread {tid}", "box", host) for tid, name in found.items()),
        Node("guest", f"{programs} processes\nwith numbers of its own", "round", guest),
    ]
    processors = [tid for tid, name in found.items() if name.startswith("CPU ")]
    edges = [Edge("qemu", f"t{tid}") for tid in found]
    edges += [Edge(f"t{tid}", "guest", "runs") for tid in processors]
    words = "; ".join(f"thread {tid}: {name}" for tid, name in found.items())
    picture = Graph(f"QEMU, pid {pid}, and its guest", f"{words}; {guest}", nodes, edges)
    kinds = {tid: "a CPU of the guest" if tid in processors else "QEMU's own" for tid in found}
    rows = [(str(tid), name, kinds[tid]) for tid, name in found.items()]
    return picture.shown() + table(("thread", "name", "what it is"), rows)
