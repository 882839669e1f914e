"""The caller: the process in whose stead a command is done, as /proc tells (forkserver.py).

Man page: proc(5).
"""

from __future__ import annotations

import os
import signal
from pathlib import Path
from types import ModuleType
from typing import Any

import labrt.oci.__main__ as oci
from labrt import cli, inherited, paths, syscalls
from labrt.errors import LabError

PROGRAMS = Path(__file__).parent.parent / ".venv/bin"
FACES: dict[str, ModuleType] = {"labrt": cli, "labrt-oci": oci}  # what each program calls


class Caller:
    """The process whose command it is.

    Attributes:
        takes_on: in what a child of ours isn't like one of its, and can become so
            (`inherited.TAKE_ON`).

    Raises:
        OSError: it has ended, or this user may not look.
    """

    def __init__(self, pid: int) -> None:
        folder = Path(f"/proc/{pid}")
        self.pid = pid
        program, *self.words = _texts(folder / "cmdline")
        executed = os.readlink(folder / "exe")
        # The sealed copy that clones (entry.c) has no place of its own.
        self.program = Path(program if executed.startswith("/memfd:") else executed)
        self.environment = dict(
            text.split("=", 1) for text in _texts(folder / "environ") if "=" in text
        )
        status = inherited.status(pid)
        self.umask = int(status["Umask"], 8)
        self.ignored = _signals(status["SigIgn"])
        self.blocked = _signals(status["SigBlk"])
        self.takes_on: list[str] = []

    def told(self) -> dict[str, Any]:
        """Return what a stand-in can't read from /proc any more, since the caller passes signals on
        once it has been told that its command is begun."""
        signals = {"ignored": sorted(self.ignored), "blocked": sorted(self.blocked)}
        return {"pid": self.pid, "takes_on": self.takes_on, **signals}

    @classmethod
    def of(cls, told: dict[str, Any]) -> Caller:
        """Return the caller of which another process has `told`."""
        caller = cls(told["pid"])
        vars(caller).update(told)
        return caller

    def refuse_unlike(self, keyring: int) -> None:
        """Refuse where a child of this process would differ from one of the caller's, in what it
        can't take on (`takes_on`).

        Raises:
            LabError: it would.
            OSError: it has ended.
        """
        unlike = inherited.differences(self.pid)
        able = inherited.TAKE_ON if paths.is_hosts_root() else {}
        self.takes_on = [name for name in unlike if name in able]
        unlike = [name for name in unlike if name not in able]
        if keyring != syscalls.session_keyring():
            unlike.append("session keyring")
        if "LISTEN_FDS" in self.environment:
            unlike.append("descriptors (LISTEN_FDS)")
        if unlike:
            raise LabError("do it in its stead", f"of its own it has {', '.join(unlike)}")

    def face(self, clones: bool) -> ModuleType:
        """Return the module whose `main` it would call.

        Args:
            clones: whether it will clone when asked (cloning.py).

        Raises:
            LabError: it is none of the lab's programs, or must do this command itself.
        """
        face = FACES.get(self.program.name)
        if face is None or self.program.parent != PROGRAMS:
            raise LabError(f"do the work of {self.program}", "it is no program of this lab")
        left = face.leaves_process(self.words) and not clones
        if left or face.needs_own_process(self.words):
            raise LabError(f"do {self.words[0]} in its stead", "it must do that itself")
        return face


def _texts(file: Path) -> list[str]:
    return [os.fsdecode(part) for part in file.read_bytes().split(b"\0")[:-1]]


def _signals(mask: str) -> set[int]:
    bits = int(mask, 16)
    return {number for number in range(1, signal.NSIG) if bits >> (number - 1) & 1}
