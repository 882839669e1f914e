"""A class that JupyterHub lets in: conversations with it on the server, whichever that is."""

from __future__ import annotations

import re
import shlex
from collections.abc import Callable

HUB = "http://127.0.0.1:8000"


class Class:
    """Students with their passwords.

    Attributes:
        run: runs a shell's command on the server, returns what it tells.
        passwords: by the student's name.
    """

    def __init__(self, run: Callable[[str], str], told: str) -> None:
        """`told` is what class.sh has told of the first passwords."""
        self.run = run
        self.passwords: dict[str, str] = {}
        self.learn(told)

    def learn(self, told: str) -> None:
        """Read first passwords."""
        found = re.findall(r"^(\w+): first password ([0-9a-f]{12})$", told, re.MULTILINE)
        self.passwords |= dict(found)

    def tell(self, script: str) -> list[str]:
        """Run Python on the server, with `student(name)`, logged in; return what it prints."""
        begin = (
            "from tests.vagrant.hub_client import Student\n"
            f"passwords = {self.passwords}\n"
            "def student(name):\n"
            f"    it = Student({HUB!r}, name)\n"
            "    assert it.log_in(passwords[name]) == 302\n"
            "    return it\n"
        )
        python = "cd /opt/lab && PYTHONDONTWRITEBYTECODE=1 .venv/bin/python"
        return self.run(f"{python} -c {shlex.quote(begin + script)}").splitlines()

    def servers(self, name: str) -> list[str]:
        """Return the cgroups that somebody's JupyterLab runs in, as the hub has started it."""
        told = self.run(
            f"for pid in $(pgrep -u {name} -f [j]upyterhub.singleuser); do"
            " grep ^0:: /proc/$pid/cgroup; done; true"
        )
        return sorted(set(told.splitlines()))
