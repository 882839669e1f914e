"""pasta: a network for containers of a normal user, who may make no bridge (pasta(1)).

A process of the same user opens a tap device in the container's network namespace and carries its
connections by sockets of its own on the host: no privilege is needed, and every packet passes a
process (slower than a bridge). The container gets the host's outer address and route as its own: it
reaches what the host reaches, and of the host itself neither that address nor the loopback.

pasta outlives the container unless it is ended. No pid is stored for that: its command line names
the container's folder, so it can't be mistaken for a stranger, however late it is looked for.

Lesson: notebook 06.
"""

from __future__ import annotations

import os
import select
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import ClassVar

from labrt.errors import LabError
from labrt.spec import Network, Port, Spec
from labrt.step import Context, Step

# Only what is published is forwarded, neither way; and the gateway's address isn't the host's
# loopback, where services listen that believe in being alone.
_CLOSED = ("--tcp-ns", "none", "--udp-ns", "none", "--no-map-gw")


def _forwarded(ports: tuple[Port, ...]) -> list[str]:
    """Return the arguments that publish the ports and no others."""
    arguments = []
    for protocol in ("tcp", "udp"):
        specs = [f"{p.host_ip}/{p.host}:{p.container}" for p in ports if p.protocol == protocol]
        for spec in specs or ["none"]:
            arguments += [f"--{protocol}-ports", spec]
    return arguments


class StartPasta(Step):
    side: ClassVar = "host"
    man: ClassVar = "pasta(1)"
    reason: ClassVar = "a normal user's container reaches others, and they its published ports"

    def __init__(self, spec: Spec) -> None:
        self.network = spec.network or Network()
        self.pid_file = f"{spec.state_dir}/pasta.pid"

    def command(self, pid: int | str) -> list[str]:
        ports = _forwarded(self.network.ports)
        mark = ("--pid", self.pid_file)
        return ["pasta", "--config-net", "--quiet", *mark, *_CLOSED, *ports, str(pid)]

    def describe(self) -> str:
        return " ".join(self.command("CHILD"))

    def do(self, context: Context) -> None:
        from subprocess import DEVNULL, run  # only who asks for it pays
        from tempfile import TemporaryFile

        if os.geteuid() == 0:
            raise LabError("start pasta", "it is a normal user's", remedy="--network bridge")
        with TemporaryFile() as said:  # not a pipe, which pasta might keep open
            command = self.command(context.pid)
            status = run(command, stdin=DEVNULL, stdout=said, stderr=said).returncode
            said.seek(0)
            if status != 0:
                raise _failure(said.read().decode(errors="replace"))

    def undo(self, context: Context) -> None:
        with _found(self.pid_file) as pidfds:
            for pidfd in pidfds:
                signal.pidfd_send_signal(pidfd, signal.SIGKILL)
                select.select([pidfd], [], [])  # its ports are free only then

    def likely(self, error: OSError) -> tuple[str, str]:
        if isinstance(error, FileNotFoundError):
            return "pasta is missing", "apt-get install passt"
        return "", ""


def _failure(said: str) -> LabError:
    """Turn what pasta said into an error; its talk of a missing system logger is left out."""
    lines = [line for line in said.splitlines() if "syslog" not in line]
    answer = "; ".join(lines[-2:])
    if "bind" in answer:
        return LabError("publish by pasta", answer, "the host's port is taken, or below 1024",
                        "choose another")  # fmt: skip
    if "tun" in answer:
        return LabError("start pasta", answer, "this user may not open /dev/net/tun",
                        "as root, modprobe tun; chmod 666 /dev/net/tun")  # fmt: skip
    return LabError("start pasta", answer)


@contextmanager
def _found(pid_file: str) -> Iterator[list[int]]:
    """A pidfd of each process whose command line has `--pid pid_file`, as pasta's has."""
    pidfds: list[int] = []
    try:
        for entry in Path("/proc").iterdir():
            if entry.name.isdecimal() and (pidfd := _opened(entry, pid_file)) >= 0:
                pidfds.append(pidfd)
        yield pidfds
    finally:
        for pidfd in pidfds:
            os.close(pidfd)


def _opened(process: Path, pid_file: str) -> int:
    try:
        if not _is_ours(process, pid_file):
            return -1
        pidfd = os.pidfd_open(int(process.name))
        # Asked again after it was opened: from then on the pid can't become another's.
        if _is_ours(process, pid_file):
            return pidfd
        os.close(pidfd)
    except (FileNotFoundError, ProcessLookupError):
        pass  # it has ended
    return -1


def _is_ours(process: Path, pid_file: str) -> bool:
    words = (process / "cmdline").read_bytes().split(b"\0")
    named = words[0] == b"pasta" and os.fsencode(pid_file) in words
    return named and process.stat().st_uid == os.geteuid()
