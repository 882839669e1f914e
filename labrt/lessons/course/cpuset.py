"""Lesson "cpuset": which CPUs, and the freezer (notebook 15; cpuset(7), cgroup.freeze in
https://docs.kernel.org/admin-guide/cgroup-v2.html)."""

from __future__ import annotations

from labrt.lessons import by_hand, drawn, groups, needs
from labrt.lessons.lesson import Check, Lesson, Prediction, Verdict

COLD = ("berg", "floe", "frost", "glacier", "hail", "icicle", "sleet", "snow", "tundra")
LEFT = 1.5  # seconds that the container of cpuset-p2 has left to sleep when it is frozen


def _listed(listed: int, host: int) -> str:
    """Judge cpuset-p1. How many CPUs /proc/cpuinfo lists in the container, and on the host."""
    return "b" if listed == host else "a"


def _left(seconds: float) -> str:
    """Judge cpuset-p2. How long after its thaw the container ended."""
    return "a" if seconds > LEFT * 2 / 3 else "b"


def _signalled(frozen: int | None, thawed: int | None) -> str:
    """Judge cpuset-p3. The exit code while it was frozen, and after; None for still running."""
    if frozen is not None:
        return "a"
    return "b" if thawed is not None else "c"


def _confined(wanted: str) -> Verdict:
    """cpuset-01: the running container of that name may use CPU 0 only."""
    found = groups.texts("cpuset.cpus")
    told = {name: text or "as above it" for name, text in found.items()}
    return Verdict(
        passed=found.get(wanted) == "0",
        expected=f"a running container with the name {wanted} that may use CPU 0 only",
        saw=groups.spelled("cpuset.cpus", told),
    )


def _frozen(wanted: str) -> Verdict:
    """cpuset-02: a cgroup made by hand, of that name, with a process in it and frozen."""
    found = {group.name.rpartition("/")[2]: group for group in by_hand.every()}
    told = "; ".join(
        f"{name}: {len(group.processes())} processes, {'' if group.frozen() else 'not '}frozen"
        for name, group in found.items()
    )
    mine = found.get(wanted)
    return Verdict(
        passed=mine is not None and bool(mine.processes()) and mine.frozen(),
        expected=f"a cgroup made by hand with the name {wanted}, frozen, with a process in it",
        saw=told or "no cgroup made by hand",
    )


LESSON = Lesson(
    key="cpuset",
    number=15,
    title="cpuset and freezer",
    needs=(needs.CONTAINER, needs.LIMITED, needs.PS, needs.VM),
    root_only="both exercises, where no cgroup is delegated to the user",
    predictions=(
        Prediction(
            id="cpuset-p1",
            choices={"a": "one CPU", "b": "all CPUs of the host"},
            judge=_listed,
        ),
        Prediction(
            id="cpuset-p2",
            choices={
                "a": "after the time that it had left to sleep",
                "b": "at once",
            },
            judge=_left,
        ),
        Prediction(
            id="cpuset-p3",
            choices={
                "a": "it ends while it is frozen",
                "b": "it ends once it is thawed",
                "c": "it goes on after the thaw: the signal is lost",
            },
            judge=_signalled,
        ),
    ),
    checks=(
        Check(
            id="cpuset-01",
            observe=_confined,
            hints=(
                "Two things: a name for the container, and the CPU that it may use.",
                "The container in section 3 was given both. CPUs are counted from zero.",
                "It must run while the check looks: keep it in a variable.",
            ),
            draw=drawn.name(COLD),
        ),
        Check(
            id="cpuset-02",
            observe=_frozen,
            hints=(
                "Section 9 made such a cgroup and thawed it again.",
                "The name is the cgroup's. A process must be in it, and last.",
                "Which file freezes? by_hand.echo writes it, whatever it is called here.",
            ),
            draw=drawn.name(COLD),
        ),
    ),
)
