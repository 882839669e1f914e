"""A detached container, as the shared launcher looks after it: its output goes to its log, its end
is noted, its restart policy kept, its health asked.

If the launcher is killed the container lives on, for nothing of it hangs on the launcher but its
standard input or terminal; the next launcher takes it over (`orphans`).
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from pathlib import Path

from labrt import container, state
from labrt.container import Running
from labrt.errors import LabError
from labrt.health import Health
from labrt.loop import Loop
from labrt.spec import Life
from labrt.state import Status

FIRST_PAUSE = 0.1  # seconds before the first restart; doubled each time, as Docker does
LONGEST_PAUSE = 60.0
SOUND_SECONDS = 10.0  # who has run that long begins anew with the first pause


def orphans() -> list[Path]:
    """Return the folders of detached containers that run, or are to, and have no owner."""
    return [folder for folder in state.folders() if _is_orphan(folder)]


def _is_orphan(folder: Path) -> bool:
    record = state.read_record(folder)
    if record is None or not record.spec.life.detached:
        return False
    return state.read_status(folder).state == "running" and not state.has_owner(folder)


def awaited() -> list[Path]:
    """Return the folders of those that a launcher was to start again when it was killed."""
    return [folder for folder in state.folders() if _is_awaited(folder)]


def _is_awaited(folder: Path) -> bool:
    record, status = state.read_record(folder), state.read_status(folder)
    if record is None or not record.spec.life.detached or status.boot != state.boot_id():
        return False
    ended = status.state == "exited" and not state.has_owner(folder)
    return ended and _is_to_restart(record.spec.life, status)


def _is_to_restart(life: Life, status: Status) -> bool:
    policy, _, most = life.restart.partition(":")
    if policy == "no" or status.stopping or life.remove:
        return False
    if policy == "on-failure":
        return status.exit_code != 0 and (not most or status.restarts < int(most))
    return True


class Detached:
    """One container with all that its keeping takes; `forget` is called when it is over."""

    def __init__(self, folder: Path, loop: Loop, forget: Callable[[Detached], None]) -> None:
        self.folder = folder
        self.loop = loop
        self.forget = forget
        self.running: Running | None = None
        self.input = -1  # what `labrt attach` types into: a pipe, or the terminal's master
        self.health: Health | None = None
        self.pause = FIRST_PAUSE

    def adopt(self) -> None:
        """Look after it though another has started it: the launcher before this one."""
        self._watch(container.adopt(self.folder))

    def restart_soon(self) -> None:
        """Start it again after its pause, doubled each time."""
        self.loop.after(self.pause, self._restart)
        self.pause = min(2 * self.pause, LONGEST_PAUSE)

    def start(self) -> int:
        """Start it; return its host pid.

        Raises:
            LabError: it could not be started; it is as it was before.
        """
        record = state.read_record(self.folder)
        life = record.spec.life if record else None
        log = os.open(self.folder / "log", os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
        reader, writer = _input(bool(life and life.interactive))
        try:
            running = container.start_created(self.folder, (reader, log, log), detached=True)
        except BaseException:
            os.close(writer)
            raise
        finally:
            os.close(reader)
            os.close(log)
        self.input = writer
        self._watch(running)
        return running.pid

    def _watch(self, running: Running) -> None:
        self.running = running
        self.since = time.monotonic()
        self.loop.watch(running.pidfd, self._ended)
        if running.master >= 0:
            os.close(self.input)
            self.input = running.master
            self.loop.watch(running.master, self._write_log)
        if running.spec.life.health.args:
            self.health = Health(self.folder, running.spec, self.loop)

    def _write_log(self) -> None:
        """Move what the terminal shows into the log; its end is EIO (pty(7))."""
        try:
            data = os.read(self.input, 65536)
            with open(self.folder / "log", "ab") as log:
                log.write(data)
        except OSError:
            self.loop.unwatch(self.input)

    def _ended(self) -> None:
        running = self.running
        if running is None:
            return
        self.running = None
        self.loop.unwatch(running.pidfd)
        if running.master >= 0:
            self._write_log()  # its last words
            self.loop.unwatch(running.master)
        elif self.input >= 0:
            os.close(self.input)
        self.input = -1
        if self.health:
            self.health.stop()
        running.finish()
        if _is_to_restart(running.spec.life, state.read_status(self.folder)):
            sound = time.monotonic() - self.since > SOUND_SECONDS
            self.pause = FIRST_PAUSE if sound else self.pause
            self.restart_soon()
        else:
            self.forget(self)

    def _restart(self) -> None:
        """Unless it was removed or started by hand meanwhile."""
        before = state.read_status(self.folder)
        if not self.folder.exists() or before.stopping or before.state == "running":
            return self.forget(self)
        try:
            self.start()
            state.update_status(self.folder, restarts=before.restarts + 1)
        except LabError as error:
            with open(self.folder / "log", "a") as log:
                log.write(f"labrt: {error}\n")
            self.forget(self)

    def end(self) -> None:
        """The launcher ends, asked to: so does the container, soon."""
        state.update_status(self.folder, stopping=True)
        if self.running:
            self.running.kill()
        else:
            self.forget(self)


def _input(interactive: bool) -> tuple[int, int]:
    """Return what becomes its standard input, and the end that others may write to."""
    if interactive:
        return os.pipe2(os.O_CLOEXEC)
    null = os.open(os.devnull, os.O_RDWR | os.O_CLOEXEC)
    return null, os.dup(null)
