"""OCI runtimes, runc and crun, for bundles of `oci_bundle.py`: both take the same command line. The
bundle's folder holds the runtime's state, too, and the container is called after the folder.

https://github.com/opencontainers/runtime-spec/blob/main/runtime.md
Man pages: runc(8), runc-run(8), runc-delete(8), crun(1).
"""

from __future__ import annotations

import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

from labrt import cgroups
from labrt.errors import LabError

# labrt's containers have no keyring of their own, either; a user may have no more than 200 keys
# (kernel.keys.maxkeys, keyrings(7)), and all of these containers map to the same one.
_AS_LABRT = ("--no-new-keyring",)


@dataclass(frozen=True)
class Runtime:
    """One of them, by the name of its program and of the package that brings it."""

    name: str

    def unavailable(self) -> str | None:
        """Return why it can't be run here, None if it can."""
        if shutil.which(self.name) is None:
            return f"{self.name} is not installed; apt-get install {self.name}"
        if self.name == "crun" and cgroups.layout().kind == "hybrid":
            return (
                "crun refuses a host with both cgroup v1 and v2 mounted (hybrid); boot with "
                "systemd.unified_cgroup_hierarchy=1"
            )
        return None

    def version(self) -> str:
        """Return what it says of itself: "runc version 1.1.5"."""
        told = subprocess.run([self.name, "--version"], capture_output=True, text=True, timeout=10)
        return told.stdout.partition("\n")[0]

    def run(self, bundle: Path) -> None:
        """Run the bundle's program to its end.

        Raises:
            LabError: it could not be started, or failed.
        """
        self._call(bundle, "run", *_AS_LABRT, f"--bundle={bundle}", bundle.name)

    def start(self, bundle: Path) -> int:
        """Start it detached: no process of the runtime's stays.

        Returns:
            Its host pid; the nearest child subreaper (PR_SET_CHILD_SUBREAPER(2const)) is its
            parent.

        Raises:
            LabError: it could not be started.
        """
        self._call(bundle, *self._detached(bundle))
        return pid(bundle)

    def starting(self, bundle: Path) -> list[str]:
        """Return the command that `start` calls, for those who don't wait for it."""
        return self._command(bundle, *self._detached(bundle))

    def _detached(self, bundle: Path) -> list[str]:
        options = ["--detach", f"--pid-file={bundle / 'pid'}", f"--bundle={bundle}"]
        return ["run", *_AS_LABRT, *options, bundle.name]

    def delete(self, bundle: Path) -> None:
        """Kill it where it runs and remove its cgroup and state; content to find none.

        Raises:
            LabError: it could not be removed.
        """
        self._call(bundle, "delete", "--force", bundle.name)

    def _command(self, bundle: Path, *arguments: str) -> list[str]:
        return [self.name, "--root", str(bundle / "state"), *arguments]

    def _call(self, bundle: Path, *arguments: str) -> None:
        """In a process group of its own: Ctrl-C must not cut a removal short. Standard output is
        not captured: a detached container would keep the pipe open."""
        null = subprocess.DEVNULL
        command = self._command(bundle, *arguments)
        try:
            subprocess.run(command, stdin=null, stdout=null, check=True, process_group=0)
        except FileNotFoundError:
            reason = self.unavailable() or "no such file"
            raise LabError(f"call {self.name}", reason) from None
        except subprocess.CalledProcessError as error:
            status = f"exit status {error.returncode}"
            raise LabError(f"{self.name} {arguments[0]}", status) from None


def pid(bundle: Path) -> int:
    """Return the host pid of a detached container's first process.

    Raises:
        FileNotFoundError: it hasn't been started.
    """
    return int((bundle / "pid").read_text())


runc = Runtime("runc")
crun = Runtime("crun")
