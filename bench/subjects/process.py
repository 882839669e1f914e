"""A plain process: the image's own program on the host, limited but in no way set apart.

It is what a container is compared with: the same program, the same cgroup limits, and none of the
namespaces. Everything here runs on the host side.

Man pages: pidfd_open(2), pidfd_send_signal(2), setsid(2), cgroups(7).
"""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

from bench import io_limit
from bench.client import ended
from bench.marks import MarkReader
from bench.scratch import Scratch
from bench.subjects.base import Instance, InstanceFailed, Reach, Stamps, Subject, Workload
from labrt import cgroups
from labrt.cgroups import Cgroup, layout, top
from labrt.errors import LabError
from labrt.images.base.busybox import is_static

LOOPBACK = "127.0.0.1"

# A process must be in its cgroup before it runs the image's program: memory that it takes earlier
# stays charged to the cgroup that it came from. So a shell moves itself ("0" is the writer's own
# id) and then becomes the program.
ENTER = 'cd "$1" || exit 125; shift; '  # its working directory
JOIN = 'while [ "$1" != -- ]; do echo 0 >"$1" || exit 125; shift; done; shift; exec "$@"'


def limits(workload: Workload) -> dict[str, str]:
    """Return the workload's limits as cgroup v2 files."""
    quota = round(workload.cpus * 100_000)
    usual = {"memory.max": str(workload.memory), "cpu.max": f"{quota} 100000"}
    return usual | io_limit.files(workload.io)


def _doors(cgroup: Cgroup) -> list[str]:
    """Return the files that a process writes "0" into to move itself into the cgroup.

    In v1 that is `tasks`: a single thread then needs no lock against every fork of the machine.
    """
    v2 = cgroup.birth_folder() if {"cpu", "memory", "pids"} & set(layout().v2) else None
    doors = [folder / "tasks" for folder in cgroup.v1_folders()]
    return [str(door) for door in doors] + ([str(v2 / "cgroup.procs")] if v2 else [])


@dataclass(frozen=True)
class Program:
    """How the host runs a program of an image.

    Attributes:
        shell: what moves itself into the cgroup and becomes it: the script's own interpreter, or
            the host's shell.
    """

    shell: str
    command: list[str]


class ProcessInstance(Instance):
    """One process in a session and a cgroup of its own."""

    def __init__(self, workload: Workload, program: Program, scratch: Scratch) -> None:
        self.name = name = scratch.name
        self._scratch = scratch
        self.stamps = Stamps(t0=time.monotonic_ns())
        self._pidfd = -1
        self._reaped = True  # there is nothing to reap yet
        self._cgroup = Cgroup(f"{top()}/{name}")
        ours, theirs = os.pipe()
        self._marks = MarkReader(ours)
        try:
            Cgroup.create(self._cgroup.name, limits(workload))
            self._spawn(program, theirs)
        except (OSError, LabError) as error:
            self.destroy()
            raise InstanceFailed(f"start {program.command[0]}: {error}") from error
        except BaseException:
            self.destroy()
            raise
        finally:
            os.close(theirs)

    def _spawn(self, program: Program, output: int) -> None:
        """posix_spawn(3) returns once the child has called execve(2)."""
        script, words = JOIN, [*_doors(self._cgroup), "--", *program.command]
        if self._scratch.size:
            script, words = ENTER + JOIN, [str(self._scratch.folder), *words]
        pid = os.posix_spawn(
            program.shell,
            [program.shell, "-c", script, "join", *words],
            {"PATH": str(Path(program.command[0]).parent)},
            file_actions=[
                (os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0),
                (os.POSIX_SPAWN_DUP2, output, 1),
                (os.POSIX_SPAWN_DUP2, output, 2),
            ],
            setsid=True,
            setsigmask=[],
            setsigdef=[signal.SIGPIPE, signal.SIGXFSZ, signal.SIGINT, signal.SIGTERM],
        )
        self.stamps.t1 = time.monotonic_ns()
        self._reaped = False
        self._pidfd = os.pidfd_open(pid)

    @property
    def marks(self) -> MarkReader:
        return self._marks

    def wait_ready(self, timeout: float) -> None:
        self._marks.wait_ready(self.stamps, timeout)
        # This process may learn that the child runs only after the child's first line has come.
        if self.stamps.t1 and self.stamps.t2 and self.stamps.t2 < self.stamps.t1:
            self.stamps.t1 = self.stamps.t2

    def stop(self, timeout: float) -> None:
        if self._reaped:
            raise InstanceFailed("it had ended before it was asked to")
        signal.pidfd_send_signal(self._pidfd, signal.SIGTERM)
        if not ended(self._pidfd, timeout):
            raise InstanceFailed(f"still running {timeout:g} s after SIGTERM")
        self.destroy()

    def destroy(self) -> None:
        if not self._reaped:
            signal.pidfd_send_signal(self._pidfd, signal.SIGKILL)  # a zombie takes it, too
            os.waitid(os.P_PIDFD, self._pidfd, os.WEXITED)
            self._reaped = True
        if self._pidfd >= 0:
            os.close(self._pidfd)
            self._pidfd = -1
        self._cgroup.kill()  # what the program left behind
        self._cgroup.remove()
        self._marks.close()
        self._scratch.remove()

    def pids(self) -> list[int]:
        return self._cgroup.processes()

    def cgroup(self) -> Cgroup | None:
        return self._cgroup

    def reach(self) -> Reach:
        return Reach(LOOPBACK, LOOPBACK, "loopback")


class Process(Subject):
    name: ClassVar = "process"
    kind: ClassVar = "process"
    title: ClassVar = "plain process"
    listens: ClassVar = LOOPBACK  # not on the host's other addresses

    def __init__(self) -> None:
        self._programs: dict[tuple[str, tuple[str, ...]], Program] = {}  # by digest and command

    def unavailable(self) -> str | None:
        return cgroups.unavailable()

    def no_network(self) -> str | None:
        return None

    def conditions(self) -> dict[str, Any]:
        return {"posture": f"uid {os.geteuid()} of the host, no namespaces, cgroup limits only"}

    def prepare(self, workload: Workload) -> None:
        """Find the image's program in its unpacked layers.

        Raises:
            LabError: it can't run outside its root.
        """
        from labrt.images import layers, store

        image = store.resolve(workload.image)
        command = (*image.entrypoint, *workload.command) if workload.command else image.command
        roots = layers.unpacked(image)
        program = _program(roots, command, image.name)
        self._programs[workload.digest, workload.command] = program

    def start(self, workload: Workload, name: str) -> Instance:
        scratch = Scratch(name, workload.scratch, os.geteuid())
        with scratch.made():
            program = self._programs[workload.digest, workload.command]
            return ProcessInstance(workload, program, scratch)

    def close(self) -> None:
        """Remove the lab's own cgroup, where nothing else is in it."""
        cgroups.remove_top()


def _program(roots: list[Path], command: Sequence[str], image: str) -> Program:
    """Return how the host runs a command of an image: a static program by itself, a script by the
    image's own interpreter.

    Raises:
        LabError: it is neither; outside its root, a program may lack its libraries.
    """
    program = _find(roots, command[0])
    with program.open("rb") as file:
        first = file.readline(4096)
    if first.startswith(b"#!/"):
        named = first.decode(errors="replace").removeprefix("#!").split()[0]
        interpreter = str(_find(roots, named))
        return Program(interpreter, [interpreter, str(program), *command[1:]])
    if first.startswith(b"\x7fELF") and is_static(program):
        return Program("/bin/sh", [str(program), *command[1:]])
    raise LabError(
        f"run {command[0]} of {image} as a plain process",
        "it is neither a script nor a static program",
        "a program outside its root may lack its libraries",
        "measure this image without the subject process",
    )


def _find(roots: list[Path], name: str) -> Path:
    """Return where an absolute path of the image lies: the uppermost layer that has it."""
    for root in reversed(roots):
        path = root / name.lstrip("/")
        if os.path.lexists(path):
            return path
    raise LabError(f"find {name} in the image", "none of its layers has it")
