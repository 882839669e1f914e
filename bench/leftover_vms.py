"""Finds and ends the virtual machines of the lab, also those whose bench was killed.

Every VM of the lab has its files in a folder vm-… (libvirt, bench/hypervisor.py) or qemu-…
(bench/plain_qemu.py), and QEMU's command line names that folder: /proc tells which processes are
ours. A folder whose lock can be taken has no owner any more.

Host side; standard library only. VMs of a libvirt daemon are ended by the daemon.
"""

from __future__ import annotations

import os
import select
import signal
import tempfile
import time
import zlib
from collections.abc import Iterator
from pathlib import Path

from labrt import paths
from labrt.cgroups import Cgroup, top
from labrt.errors import LabError
from labrt.state import remove_tree, try_lock

LARGE = Path("/var/tmp")  # for what /tmp, which may be in RAM, is too small (hier(7))
PREFIXES = ("vm-", "qemu-")
TIMEOUT = 5.0  # seconds a killed QEMU may take to end


def remove_leftover_vms(living: bool = False, older: float = 0.0) -> list[str]:
    """End the VMs that nobody owns any more and remove their folders and cgroups; return the VMs'
    names.

    Args:
        living: end those whose owner lives, too. The owner then sees them die, and its folder is
            left for it to remove.
        older: leave alone the folders that aren't so many seconds old: one that was just made may
            not be locked yet.

    Raises:
        LabError: a VM doesn't end, or is another user's.
    """
    removed = []
    for folder in _folders():
        if time.time() - folder.stat().st_mtime < older:
            continue
        lock = try_lock(folder)
        if lock is not None or living:
            removed += [_end(pid) for pid in _machines(folder)]
        if lock is not None:
            for instance in (folder / "instances").glob("*"):
                Cgroup(f"{top()}/{instance.name}").remove()
            remove_tree(folder)
            os.close(lock)
    return removed


def disks_prefix() -> str:
    """Return how the folders in LARGE begin whose owner has this run folder: others are another
    lab's."""
    return f"lab-disks-{zlib.crc32(os.fsencode(paths.run_dir())):08x}-"


def _folders() -> Iterator[Path]:
    """Return this user's folders of VMs: in the run folder, for a daemon's VMs in /tmp, for
    disks in LARGE."""
    places: dict[Path, tuple[str, ...]] = {LARGE: (disks_prefix(),)}
    places |= {paths.run_dir(): PREFIXES, Path(tempfile.gettempdir()): PREFIXES}
    for parent, prefixes in places.items():
        for entry in sorted(parent.iterdir()):
            ours = entry.name.startswith(prefixes) and entry.lstat().st_uid == os.geteuid()
            if ours and entry.is_dir() and not entry.is_symlink():
                yield entry


def _machines(folder: Path) -> list[int]:
    """Return the pids of the QEMU processes whose command line names a path in `folder`."""
    return [
        int(entry.name)
        for entry in Path("/proc").iterdir()
        if entry.name.isdigit() and _is_machine(_arguments(entry), folder)
    ]


def _is_machine(arguments: list[str], folder: Path) -> bool:
    program = Path(arguments[0]).name if arguments else ""
    return program.startswith("qemu-system-") and any(f"{folder}/" in text for text in arguments)


def _arguments(entry: Path) -> list[str]:
    try:
        return (entry / "cmdline").read_bytes().decode(errors="replace").split("\0")
    except (FileNotFoundError, ProcessLookupError):
        return []  # it has ended


def _end(pid: int) -> str:
    """Kill one QEMU and wait, by its pidfd (pidfd_open(2)), until it has ended; return its name."""
    name = _name(_arguments(Path(f"/proc/{pid}")))
    try:
        pidfd = os.pidfd_open(pid)
    except ProcessLookupError:
        return name
    try:
        signal.pidfd_send_signal(pidfd, signal.SIGKILL)
        poll = select.poll()
        poll.register(pidfd, select.POLLIN)
        if not poll.poll(TIMEOUT * 1000):
            raise LabError(f"end the VM {name}", f"QEMU (pid {pid}) still runs after SIGKILL")
    except PermissionError as error:
        remedy = "run ./lab clean as the user who started it"
        raise LabError(f"end the VM {name}", "it is another user's", remedy=remedy) from error
    except ProcessLookupError:
        pass  # it ended by itself meanwhile
    finally:
        os.close(pidfd)
    return name


def _name(arguments: list[str]) -> str:
    """Return what follows -name in QEMU's arguments: "guest=NAME,debug-threads=on" or "NAME"."""
    after = dict(zip(arguments, arguments[1:], strict=False)).get("-name", "without a name")
    return after.removeprefix("guest=").partition(",")[0]
