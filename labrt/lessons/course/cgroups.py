"""Lesson "cgroups": v1, v2 and where this host stands (notebook 10, cgroups(7))."""

from __future__ import annotations

from labrt import cgroup_folders, handle, paths
from labrt.lessons import by_hand, drawn, groups, needs
from labrt.lessons.lesson import Check, Lesson, Prediction, Verdict


def _memberships(lines: list[str]) -> str:
    """Judge cgroups-p1. The lines of a plain process's /proc/PID/cgroup, one for a hierarchy."""
    hierarchies = [line.partition(":")[0] for line in lines]
    if not hierarchies:
        return "a"
    return "b" if len(set(hierarchies)) == len(hierarchies) else "c"


def _made(entries: int, refused: bool) -> str:
    """Judge cgroups-p2. How many entries a cgroup has right after mkdir(2); whether that failed."""
    if refused:
        return "c"
    return "b" if entries else "a"


def _removed(refused: bool, lives: bool) -> str:
    """Judge cgroups-p3. Whether rmdir(2) was refused; whether the process in it lives."""
    if refused:
        return "c"
    return "b" if lives else "a"


def _changed(wanted: str) -> Verdict:
    """cgroups-01: a running container whose pids.max is the drawn number, and was declared
    otherwise."""
    now = groups.texts("pids.max")
    declared = {
        each.spec.life.name: each.spec.resources.get("pids.max", "max")
        for each in handle.containers()
    }
    told = "; ".join(f"{name}: begun with {declared[name]}, now {now[name]}" for name in now)
    return Verdict(
        passed=any(now[name] == wanted != declared[name] for name in now),
        expected=f"a running container whose pids.max was another at its start and is {wanted} now",
        saw=told or "no running container with a cgroup",
    )


def _by_hand(wanted: str) -> Verdict:
    """cgroups-02: a cgroup made by hand with a process in it and pids.max as drawn."""
    found = {
        name: (paths.read(folder / "pids.max").strip(), len(cgroup_folders.processes(folder)))
        for name, folder in by_hand.made("pids").items()
    }
    told = "; ".join(f"{name}: pids.max {most}, {n} processes" for name, (most, n) in found.items())
    return Verdict(
        passed=any(most == wanted and n for most, n in found.values()),
        expected=f"a cgroup made by hand, with pids.max {wanted} and a process in it",
        saw=told or "no cgroup made by hand",
    )


LESSON = Lesson(
    key="cgroups",
    number=10,
    title="v1, v2 and where this host stands",
    needs=(needs.CONTAINER, needs.LIMITED, needs.VM),
    root_only="both exercises, where no cgroup is delegated to the user",
    predictions=(
        Prediction(
            id="cgroups-p1",
            choices={
                "a": "in none: nobody has put it in one",
                "b": "in exactly one of each hierarchy",
                "c": "in one for each limit, several in one hierarchy",
            },
            judge=_memberships,
        ),
        Prediction(
            id="cgroups-p2",
            choices={
                "a": "empty",
                "b": "full of files that nobody wrote",
                "c": "not there: only a container runtime can make one",
            },
            judge=_made,
        ),
        Prediction(
            id="cgroups-p3",
            choices={
                "a": "it is removed, and the process is killed",
                "b": "it is removed, and the process is in the cgroup above",
                "c": "it is refused",
            },
            judge=_removed,
        ),
    ),
    checks=(
        Check(
            id="cgroups-01",
            observe=_changed,
            hints=(
                "The container must run already when its limit changes; a new one doesn't count.",
                "Where is its limit kept? The table in section 4 has the path.",
                "A limit changes as it was set: by a write into that file.",
            ),
            draw=drawn.number(100, 900),
        ),
        Check(
            id="cgroups-02",
            observe=_by_hand,
            hints=(
                "Three things: a folder, a number in one of its files, a process in it.",
                "A process is put in by its number. Which file lists those that are in?",
                "The process must last while the check looks, and mustn't be this notebook's own.",
            ),
            draw=drawn.number(100, 900),
        ),
    ),
)
