"""What a process may ask of the kernel: its capabilities (capabilities(7)) and its system call
filter (seccomp(2)), as /proc/PID/status tells them (proc_pid_status(5))."""

from __future__ import annotations

from labrt.capabilities import NAMES
from labrt.lessons import observe
from labrt.lessons.graph import Edge, Graph, Node
from labrt.lessons.observe import HasPid
from labrt.lessons.shown import Shown, table

FILTERED = "2"  # SECCOMP_MODE_FILTER


def capabilities(process: int | HasPid, which: str = "CapEff") -> tuple[str, ...]:
    """Return the names in one of a process's five sets; () if it has ended.

    Args:
        which: "CapInh", "CapPrm", "CapEff", "CapBnd" or "CapAmb".
    """
    mask = int(_field(process, which) or "0", 16)
    return tuple(name for number, name in enumerate(NAMES) if mask >> number & 1)


def filters(process: int | HasPid) -> int:
    """Return how many filter programs see its system calls; 0 also if it has ended."""
    if _field(process, "Seccomp") != FILTERED:
        return 0
    return int(_field(process, "Seccomp_filters") or "1")  # the count is told from Linux 5.9 on


def no_new_privileges(process: int | HasPid) -> bool:
    return _field(process, "NoNewPrivs") == "1"


def _field(process: int | HasPid, name: str) -> str:
    return observe.status(process, name).partition(":")[2].strip()


def rights_picture(**processes: int | HasPid) -> Shown:
    """Draw the way of some processes' system calls: the filter, then the check of capabilities.

    Args:
        processes: what each is called in the picture → the process.
    """
    rows, nodes, edges = [], [Node("kernel", "the kernel's work", "round")], []
    for whose, process in processes.items():
        count, held = filters(process), capabilities(process)
        home = observe.namespace(observe.pid_of(process), "user") or "a user namespace not readable"
        filtered = f"{count} filter{'s' if count > 1 else ''}" if count else "no filter"
        rows.append(
            (whose, filtered, str(len(held)), home, "yes" if no_new_privileges(process) else "no")
        )
        nodes += [
            Node(f"{whose}1", whose),
            Node(f"{whose}2", filtered),
            Node(f"{whose}3", f"{len(held)} capabilities\nover {home}"),
        ]
        edges += [
            Edge(f"{whose}1", f"{whose}2", "system call"),
            Edge(f"{whose}2", f"{whose}3"),
            Edge(f"{whose}3", "kernel"),
        ]
    words = "; ".join(f"{whose}: {seen}, {held} capabilities" for whose, seen, held, *_ in rows)
    picture = Graph("the way of a system call", words, nodes, edges)
    header = ("whose", "filter", "capabilities", "over", "no_new_privs")
    return picture.shown() + table(header, rows)
