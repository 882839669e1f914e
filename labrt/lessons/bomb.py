"""A fork bomb that can't hurt: it starts only once the kernel holds its limit of processes.

Each of its processes starts two more, for ever; slowly, so that it can be watched. It has little of
the CPU, too, and an init that reaps what has ended.
"""

from __future__ import annotations

import os

from labrt import client
from labrt.errors import LabError
from labrt.lessons import groups
from labrt.lessons.limited import Refused, limited

MOST = 200  # processes: enough to see, few enough for every host
CPUS = 0.3
# It waits for a line, and is nothing but a sleeper if none comes.
SCRIPT = "read go && { bomb() { sleep 0.3; bomb & bomb & wait; }; bomb & }; exec sleep 600"


def fork_bomb(limit: int) -> client.Container | Refused:
    """Start a container with a fork bomb in it, under a limit of processes. Its complaints go to
    /dev/null. Where this host refuses limits, tell so, and start nothing.

    Args:
        limit: of tasks in the container.

    Raises:
        LabError: no limit that is safe, or the kernel doesn't hold it.
    """
    if not 3 <= limit <= MOST:
        raise LabError(
            f"start a fork bomb with the limit {limit}", remedy=f"write a number from 3 to {MOST}"
        )
    ours, theirs = os.pipe()
    with open(theirs, "wb") as go, open(ours, "rb") as stdin, open(os.devnull, "wb") as nowhere:
        box = limited(
            "busybox",
            ["sh", "-c", SCRIPT],
            stdin=stdin.fileno(),
            stderr=nowhere.fileno(),
            pids_limit=limit,
            cpus=CPUS,
            init=True,
        )
        if isinstance(box, Refused):
            return box
        held = groups.of(box).read("pids.max").strip()
        if held != str(limit):
            box.close()
            raise LabError("start a fork bomb", f"its pids.max is {held}, not {limit}")
        go.write(b"go\n")
    return box
