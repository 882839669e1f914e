"""How the hub starts a student's JupyterLab: as a service of the student's own systemd.

So it is in the student's slice, under the limits of the class, and in the same delegated cgroup as
what the student runs from a shell: labrt sees the containers of both. (jupyterhub-systemdspawner
makes services of the system's, each a delegated cgroup apart.) systemd-run(1). Server side: the
hub is root, and what is run here runs as the student.
"""

from __future__ import annotations

import asyncio
import pwd

from jupyterhub.spawner import Spawner
from jupyterhub.utils import random_port

UNIT = "lab-hub-server.service"


class NotStarted(Exception):
    """JupyterHub shows `jupyterhub_message` to the student."""

    def __init__(self, said: str) -> None:
        super().__init__(said)
        self.jupyterhub_message = f"{said} Tell whoever teaches: journalctl -u lab-hub has more."


class StudentServer(Spawner):  # type: ignore[misc] # JupyterHub publishes no types
    """The student's JupyterLab, which systemd starts, watches and stops."""

    async def start(self) -> tuple[str, int]:
        """Start it; return where it will listen.

        Raises:
            NotStarted: systemd's answer.
        """
        await self.stop()  # what a hub that was killed may have left
        self.port = random_port()
        # Named, not spelt out: anybody may read a command line, but not an environment.
        settings = self.get_env()
        named = [f"--setenv={name}" for name in settings]
        unit = ["--user", "--collect", "--quiet", f"--unit={UNIT}", *named]
        status, said = await self._as_student("systemd-run", *unit, *self.cmd, **settings)
        if status != 0:
            raise NotStarted(f"systemd-run: {said}")
        return self.ip, self.port

    async def poll(self) -> int | None:
        """Return None while it runs, else a status."""
        status, _said = await self._as_student("systemctl", "--user", "is-active", UNIT)
        return None if status == 0 else status

    async def stop(self, now: bool = False) -> None:
        """Stop it with all that it has started; content to find none. systemd kills what doesn't
        end, so `now` changes nothing."""
        await self._as_student("systemctl", "--user", "stop", UNIT)

    async def _as_student(self, *command: str, **environment: str) -> tuple[int, str]:
        """Run as the student, where the student's systemd is asked; return status and answer."""
        student = pwd.getpwnam(self.user.name)
        process = await asyncio.create_subprocess_exec(
            *command,
            env={**environment, "XDG_RUNTIME_DIR": f"/run/user/{student.pw_uid}"},
            user=student.pw_uid,
            group=student.pw_gid,
            extra_groups=[],
            cwd="/",
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
        )
        told, _ = await process.communicate()
        return await process.wait(), told.decode(errors="replace").strip()
