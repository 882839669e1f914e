"""Two containers in one namespace: what the checks of several lessons look for."""

from __future__ import annotations

from collections import defaultdict

from labrt.lessons import observe
from labrt.lessons.lesson import Verdict


def one_namespace(kind: str, wanted: str) -> Verdict:
    """Look for two containers in one namespace of a kind, not the host's.

    Args:
        kind: "ipc", "cgroup", …: as in /proc/PID/ns.
        wanted: the host name of one of them.
    """
    here = observe.namespace("self", kind)
    rooms: dict[str, list[str]] = defaultdict(list)
    for pid in observe.containers():
        space = observe.namespace(pid, kind)
        if space not in (None, here):
            rooms[str(space)].append(observe.hostname(pid) or "?")
    told = "; ".join(f"{space}: {', '.join(names)}" for space, names in rooms.items())
    article = "an" if kind[0] in "aeiou" else "a"
    return Verdict(
        passed=any(len(names) > 1 and wanted in names for names in rooms.values()),
        expected=f"two containers in one {kind} namespace, not the host's; one is called {wanted}",
        saw=told or f"no running container with {article} {kind} namespace of its own",
    )
