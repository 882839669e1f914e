"""Lesson "cgroupns": names of cgroups of its own (notebook 08, cgroup_namespaces(7))."""

from __future__ import annotations

from labrt.lessons import drawn, needs, observe, sharing
from labrt.lessons.cgroup_names import Names
from labrt.lessons.lesson import Check, Lesson, Prediction, Verdict

BIRDS = ("crane", "dove", "egret", "finch", "grebe", "ibis", "kite", "lark", "owl", "swift")
OTHERS = ("mnt", "pid", "net", "ipc", "uts", "time")


def _read(inside: Names) -> str:
    """Judge cgroupns-p1. How the container calls its cgroups."""
    return "b" if set(inside.values()) == {"/"} else "a"


def _moved(before: Names, after: Names) -> str:
    """Judge cgroupns-p2 and -p3. The process's cgroups, as the host calls them."""
    return "b" if before == after else "a"


def _together(wanted: str) -> Verdict:
    """cgroupns-01: two containers in one cgroup namespace, one of them with the drawn host name."""
    return sharing.one_namespace("cgroup", wanted)


def _by_hand(wanted: str) -> Verdict:
    """cgroupns-02: a process that has a cgroup namespace and a user namespace of its own alone."""
    found = {pid: _own(pid) for pid in observe.strangers("cgroup") if _sleeps(pid, wanted)}
    told = "; ".join(f"pid {pid}: {', '.join(own) or 'nothing else'}" for pid, own in found.items())
    return Verdict(
        passed=[] in found.values(),
        expected=f"sleep {wanted}, not labrt's, with a cgroup namespace and but for user no other",
        saw=f"in cgroup namespaces of their own, and beside it of its own: {told}"
        if found
        else f"no sleep {wanted} in a cgroup namespace that labrt didn't make",
    )


def _sleeps(pid: int, seconds: str) -> bool:
    return observe.command(pid)[-2:] == ["sleep", seconds]


def _own(pid: int) -> list[str]:
    """Return the kinds, but for user, of which a process has a namespace of its own."""
    return [
        kind for kind in OTHERS if observe.namespace(pid, kind) != observe.namespace("self", kind)
    ]


MOVED = {
    "a": "is in another cgroup than before, as the host sees it",
    "b": "is where it was; only names have changed",
}

LESSON = Lesson(
    key="cgroupns",
    number=8,
    title="names of cgroups of its own",
    needs=(
        needs.CONTAINER,
        needs.COMMANDS,
        needs.Need("make a cgroup", "the cell that moves a container", needs.limits),
        needs.VM,
    ),
    predictions=(
        Prediction(
            id="cgroupns-p1",
            choices={
                "a": "the names that the host reads",
                "b": "everywhere `/`, as if it were at the top",
            },
            judge=_read,
        ),
        Prediction(id="cgroupns-p2", choices=MOVED, judge=_moved),
        Prediction(id="cgroupns-p3", choices=MOVED, judge=_moved),
    ),
    checks=(
        Check(
            id="cgroupns-01",
            observe=_together,
            hints=(
                "The flag of section 6 takes the host's namespace. What else can it name?",
                "Lesson 05 let two containers share another kind of namespace.",
                "Both must run, and the host name is the one of lesson 02, not the name.",
            ),
            draw=drawn.name(BIRDS),
        ),
        Check(
            id="cgroupns-02",
            observe=_by_hand,
            hints=(
                "The cell above shows the flags. Which of them make a namespace?",
                "The program must last for the seconds that were drawn, and be called sleep.",
                "Don't wait for the program: subprocess.Popen starts it and returns at once.",
            ),
            draw=drawn.number(1000, 9000),
        ),
    ),
)
