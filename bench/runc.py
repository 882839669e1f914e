"""runc, the reference OCI runtime, for bundles of `oci_bundle.py`. The bundle's folder holds its
state, too, and the container is called after the folder.

Man pages: runc(8), runc-run(8), runc-delete(8).
"""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

from labrt.errors import LabError

# labrt's containers have no keyring of their own, either; a user may have no more than 200 keys
# (kernel.keys.maxkeys, keyrings(7)), and all of these containers map to the same one.
_AS_LABRT = ("--no-new-keyring",)


def unavailable() -> str | None:
    """Return why runc can't be run here, None if it can."""
    return None if shutil.which("runc") else "runc is not installed; ./lab setup --test installs it"


def run(bundle: Path) -> None:
    """Run the bundle's program to its end.

    Raises:
        LabError: runc could not start it, or it failed.
    """
    _runc(bundle, "run", *_AS_LABRT, f"--bundle={bundle}", bundle.name)


def start(bundle: Path) -> int:
    """Start it detached: no process of runc's stays.

    Returns:
        Its host pid; the nearest child subreaper (PR_SET_CHILD_SUBREAPER(2const)) is its parent.

    Raises:
        LabError: runc could not start it.
    """
    pid_file = bundle / "pid"
    options = ("--detach", f"--pid-file={pid_file}", f"--bundle={bundle}")
    _runc(bundle, "run", *_AS_LABRT, *options, bundle.name)
    return int(pid_file.read_text())


def delete(bundle: Path) -> None:
    """Kill it where it runs and remove its cgroup and state; content to find none.

    Raises:
        LabError: runc could not remove it.
    """
    _runc(bundle, "delete", "--force", bundle.name)


def _runc(bundle: Path, *arguments: str) -> None:
    """In a process group of its own: Ctrl-C must not cut a removal short. Standard output is not
    captured: a detached container would keep the pipe open."""
    command = ["runc", "--root", str(bundle / "state"), *arguments]
    null = subprocess.DEVNULL
    try:
        subprocess.run(command, stdin=null, stdout=null, check=True, process_group=0)
    except FileNotFoundError:
        raise LabError("call runc", unavailable() or "no such file") from None
    except subprocess.CalledProcessError as error:
        raise LabError(f"runc {arguments[0]}", f"exit status {error.returncode}") from None
