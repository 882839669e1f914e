"""A container by its name, whoever started it: what can be done to it from any process.

    web = labrt.find("web")
    web.pause()

Everything is read from the kernel, or from the container's folder where the kernel can't know it.
What takes a clone is asked of a launcher.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from labrt import container, declare, events, limits, logs, removal, state, stopping, usage
from labrt.cgroups import Cgroup
from labrt.errors import LabError
from labrt.launching import Connection, Launched
from labrt.options import Options, given
from labrt.spec import Spec
from labrt.state import Status

FOLLOW_SECONDS = 0.02  # between two looks for more in a log that is followed


class Handle:
    """One container of this LAB_HOME."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    @property
    def id(self) -> str:
        return self.folder.name

    @property
    def spec(self) -> Spec:
        """What was declared, and the limits that `update` gave it since.

        Raises:
            LabError: the container is gone.
        """
        record = state.read_record(self.folder)
        if record is None:
            raise LabError(f"look at the container {self.id}", "it is gone")
        return state.limited(record.spec, self.status)

    @property
    def status(self) -> Status:
        return state.read_status(self.folder)

    @property
    def state(self) -> str:
        """ "created", "running", "paused" or "exited"."""
        now = self.status.state
        return "paused" if now == "running" and container.is_paused(self.spec) else now

    @property
    def cgroup(self) -> Cgroup | None:
        """Its cgroup, or None where the host gives this user none."""
        return Cgroup(self.spec.cgroup) if self.spec.cgroup else None

    def _running_cgroup(self, tried: str) -> Cgroup:
        spec, _status = state.running(self.id)
        if not spec.cgroup:
            raise LabError(
                f"{tried} the container {spec.life.name}",
                "it has no cgroup",
                "this user may make none on this host",
                "run as root, or where systemd delegates a cgroup",
            )
        return Cgroup(spec.cgroup)

    def start(self) -> None:
        """Start it, created or ended, and let it go on without this process: detached.

        Raises:
            LabError: it runs already, or could not be started.
        """
        with Connection.shared() as launcher:
            launcher.ask({"detached": str(self.folder)})

    def exec(
        self, args: Sequence[str], *, stdio: tuple[int, int, int] = (0, 1, 2), **options: Any
    ) -> Launched:
        """Start one more process in it, under the same limits, capabilities and filter.

        Args:
            stdio: descriptors that become its standard input, output and error.
            options: env, workdir, user, tty, privileged, as of `labrt.options.Options`.

        Raises:
            LabError: the container doesn't run, or the process could not be started.
        """
        process = declare.entered(self.spec, args, given(**options))
        return Launched({"enter": str(self.folder), "process": process}, stdio)

    def input(self) -> int:
        """Return a descriptor to type into a detached container: a pipe, or its terminal's master
        end; -1 if there is none."""
        with Connection.shared() as launcher:
            _attached, fds = launcher.ask({"attach": str(self.folder)})
        return fds[0] if fds else -1

    def signal(self, number: int) -> None:
        """Send a signal to its first process.

        Raises:
            LabError: it doesn't run.
        """
        if not stopping.send_signal(self.folder, number):
            state.running(self.id)  # which tells why

    def stop(self, timeout: float | None = None) -> int | None:
        """Ask it to end, kill it after `timeout` seconds (default: as declared), wait.

        Returns:
            Its exit code, None if nobody learnt it.
        """
        stopping.stop(self.folder, timeout)
        return state.noted_exit(self.folder)

    def wait(self, timeout: float | None = None) -> int | None:
        """Wait until it has ended and its end is noted.

        Returns:
            Its exit code; None if `timeout` seconds passed first, or if nobody learnt it.
        """
        if not stopping.wait_ended(self.folder, timeout):
            return None
        return state.noted_exit(self.folder)

    def pause(self) -> None:
        """Stop all its processes where they are (cgroup.freeze).

        Raises:
            LabError: it doesn't run, or has no cgroup.
        """
        self._running_cgroup("pause")
        container.pause(self.folder, self.spec)
        events.record(self.spec, "pause")

    def resume(self) -> None:
        """Let its processes go on."""
        self._running_cgroup("resume").thaw()
        events.record(self.spec, "unpause")

    def update(self, options: Options) -> dict[str, str]:
        """Change its limits while it runs; they hold from then on, also when it is started again.

        Returns:
            cgroup v2 file → value, as written.
        """
        cgroup = self._running_cgroup("limit")
        now = self.spec.resources
        files = limits.resources(options, now)
        if not files:
            raise LabError(f"limit the container {self.id}", "no limit was named")
        cgroup.update(files)
        state.update_status(self.folder, resources={**now, **files})
        return files

    def usage(self) -> usage.Usage:
        """Read what it uses now."""
        return usage.read(self._running_cgroup("read what is used by"))

    def processes(self) -> list[int]:
        """Return the host pids of its processes, the first one first."""
        spec, status = state.running(self.id)
        if spec.cgroup:
            found = Cgroup(spec.cgroup).processes()
        else:
            found = list(_in_pid_namespace(os.readlink(f"/proc/{status.pid}/ns/pid")))
        return sorted(found, key=lambda pid: (pid != status.pid, pid))

    def logs(self, follow: bool = False, since: int | None = 0) -> Iterator[bytes]:
        """Yield what it wrote while it was detached; if followed, until it ends.

        Args:
            since: the byte to begin at, None for the log's end.

        Raises:
            LabError: it was never detached: its output went to the terminal that started it.
        """
        if not (self.folder / "log").exists():
            raise LabError(
                f"show the log of {self.id}",
                "it has none",
                "only detached containers (-d) have; this one wrote to whoever started it",
            )
        return logs.read(self.folder, since, FOLLOW_SECONDS if follow else 0.0)

    def remove(self, force: bool = False) -> None:
        """Remove it with all that it wrote.

        Raises:
            LabError: it runs, and `force` is false.
        """
        if force and self.status.state == "running":
            state.update_status(self.folder, stopping=True)
            stopping.send_signal(self.folder, signal.SIGKILL)
            stopping.wait_ended(self.folder)
        removal.remove(self.folder)

    def inspect(self) -> dict[str, Any]:
        """Return all that is known of it, as JSON knows it."""
        now = self.status
        told = {"id": self.id, "name": self.spec.life.name, "state": self.state}
        return {**told, "status": asdict(now), "spec": asdict(self.spec)}


def find(name: str) -> Handle:
    """Return the container of that name or id, or whose id begins like that.

    Raises:
        LabError: there is none, or more than one.
    """
    return Handle(state.find(name))


def containers(every: bool = False) -> list[Handle]:
    """Return the containers that run, oldest first; `every`: also those that don't."""
    found = [Handle(folder) for folder in state.folders() if state.read_record(folder)]
    return [each for each in found if every or each.status.state == "running"]


def start_detached(spec: Spec) -> Handle:
    """Create and start a container that outlives us.

    Raises:
        LabError: it could not be started; nothing is left behind.
    """
    container.create(spec)
    handle = Handle(Path(spec.state_dir))
    try:
        handle.start()
    except BaseException:
        handle.remove(force=True)
        raise
    return handle


def _in_pid_namespace(identity: str) -> Iterator[int]:
    for entry in Path("/proc").iterdir():
        try:
            if entry.name.isdecimal() and os.readlink(entry / "ns/pid") == identity:
                yield int(entry.name)
        except OSError:
            pass  # somebody else's, or it ended meanwhile
