"""Podman and Docker by their command lines, which agree in all that is needed here.

Everything that the lab has an engine make carries a label, so that it finds its own again, and only
its own: the label's value names the LAB_HOME.

Man pages: podman(1), podman-run(1), docker(1), docker-run(1).
"""

from __future__ import annotations

import subprocess
from dataclasses import dataclass
from pathlib import Path

from labrt.cgroups import top
from labrt.errors import LabError

LABEL = "vm-container-lab"


def mark() -> str:
    """Return the label of what this lab has made."""
    return f"{LABEL}={top()}"


@dataclass(frozen=True)
class Engine:
    """An engine.

    Attributes:
        command: its program and the options that come before everything else.
        at_once: the options that have its `rm --force` not ask politely first.
    """

    command: tuple[str, ...]
    at_once: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        return self.command[0]

    def call(self, *arguments: str, timeout: float = 60.0, cwd: Path | None = None) -> str:
        """Call it, in the folder `cwd`; return what it wrote to standard output.

        Raises:
            LabError: it is not installed, refused, or had not answered after `timeout` seconds.
        """
        tried = f"call {self.name} {arguments[0]}"
        try:
            done = subprocess.run(
                [*self.command, *arguments],
                stdin=subprocess.DEVNULL,
                capture_output=True,
                text=True,
                timeout=timeout,
                cwd=cwd,
                process_group=0,  # Ctrl-C must not cut a removal short
            )
        except subprocess.TimeoutExpired:
            raise LabError(tried, f"no answer after {timeout:g} s") from None
        except OSError as error:
            raise LabError(tried, str(error)) from error
        if done.returncode:
            raise LabError(tried, " ".join(done.stderr.split())[-300:])
        return done.stdout.strip()

    def marked(self) -> list[str]:
        """Return the names of the containers that this lab has made, running or not."""
        filters = ("--filter", f"label={mark()}")
        return self.call("ps", "--all", *filters, "--format", "{{.Names}}").split()

    def remove(self, name: str) -> bool:
        """Kill a container and remove it; False if there is none of this name.

        Raises:
            LabError: it could not be removed.
        """
        return self._removed("rm", "--force", *self.at_once, "--volumes", name)

    def remove_image(self, name: str) -> bool:
        """Remove an image's name, and the image if it was the last; False if there is none."""
        return self._removed("image", "rm", name)

    def _removed(self, *arguments: str) -> bool:
        try:
            return bool(self.call(*arguments))
        except LabError as error:
            if "no such " in error.answer.lower():
                return False
            raise
