"""Lesson "against": a virtual machine and a container, measured side by side (notebook 20)."""

from __future__ import annotations

from labrt import handle
from labrt.cgroups import Cgroup
from labrt.lessons import drawn, needs, observe
from labrt.lessons.lesson import Check, Lesson, Prediction, Verdict
from labrt.lessons.machines import machines
from labrt.lessons.needs import Need

CROWDS = ("bees", "crows", "deer", "fish", "geese", "herons", "larks", "lions", "owls", "wolves")
MANY = 20


def _times(container: float, vm: float) -> str:
    """Judge against-p1. How long a start takes, median, any unit."""
    return _bucket(vm / container, 2, 10)


def _weighs(container: float, vm: float) -> str:
    """Judge against-p2. What each weighs on the host, any unit."""
    return _bucket(vm / container, 3, 30)


def _bucket(ratio: float, low: float, high: float) -> str:
    if ratio < low:
        return "a"
    return "b" if ratio <= high else "c"


def _unlike(refused: bool, ratio: float | None) -> str:
    """Judge against-p3. Whether the bench refused, and the ratio that it gave otherwise."""
    if refused:
        return "c"
    return "a" if ratio is not None else "b"


def _alike(wanted: str) -> Verdict:
    """against-01: a container and a virtual machine with the drawn memory and one CPU each."""
    boxes = [group for box in handle.containers() if (group := box.cgroup)]
    limits = [(_mebibytes(group), _cpus(group)) for group in boxes]
    guests = [(each.memory, float(each.cpus)) for each in machines()]
    ours = (float(wanted), 1.0)
    return Verdict(
        passed=ours in limits and ours in guests,
        expected=f"a container and a virtual machine, each with {wanted} MiB and 1 CPU",
        saw=f"containers: {_listed(limits)}; virtual machines: {_listed(guests)}",
    )


def _mebibytes(group: Cgroup) -> float:
    """Return the memory limit, MiB; -1 if there is none (memory.max)."""
    limit = group.read("memory.max").strip()
    return int(limit) / 2**20 if limit.isdigit() else -1


def _cpus(group: Cgroup) -> float:
    """Return the CPU limit, CPUs; -1 if there is none (cpu.max)."""
    quota, period = group.read("cpu.max").split()
    return int(quota) / int(period) if quota.isdigit() else -1


def _listed(found: list[tuple[float, float]]) -> str:
    told = [
        f"{'no limit' if memory < 0 else f'{memory:g} MiB'}, "
        f"{'all CPUs' if cpus < 0 else f'{cpus:g} CPUs'}"
        for memory, cpus in found
    ]
    return " and ".join(told) or "none"


def _together(wanted: str) -> Verdict:
    """against-02: many running containers with the drawn host name."""
    count = sum(observe.hostname(pid) == wanted for pid in observe.containers())
    return Verdict(
        passed=count >= MANY,
        expected=f"{MANY} containers at once with the host name {wanted}",
        saw=f"{count} running",
    )


LESSON = Lesson(
    key="against",
    number=20,
    title="a virtual machine against a container",
    claims=("C10", "C23", "C24", "C25"),
    root_only="what is measured with limits (sections 3, 6 and 8), and exercise against-01",
    needs=(
        needs.CONTAINER,
        Need("limit a container", "sections 3, 6 and 8; exercise against-01", needs.limits),
        Need("boot a virtual machine", "the whole lesson", needs.vm),
        Need("use libvirt", "the whole lesson", needs.libvirt),
    ),
    predictions=(
        Prediction(
            id="against-p1",
            choices={
                "a": "less than twice as long as the container's",
                "b": "2 to 10 times as long",
                "c": "more than 10 times as long",
            },
            judge=_times,
        ),
        Prediction(
            id="against-p2",
            choices={
                "a": "less than 3 times as much",
                "b": "3 to 30 times as much",
                "c": "more than 30 times as much",
            },
            judge=_weighs,
        ),
        Prediction(
            id="against-p3",
            choices={
                "a": "it gives a ratio",
                "b": "it finds no difference",
                "c": "it refuses",
            },
            judge=_unlike,
        ),
    ),
    checks=(
        Check(
            id="against-01",
            observe=_alike,
            hints=(
                "Sections 3 and 4 start such pairs. Which words say how much each may use?",
                "A container without a limit may use all of the host. What does the check say of "
                "yours?",
                "Both must run while the check looks, each with the drawn memory and one CPU.",
            ),
            draw=drawn.number(100, 200),
        ),
        Check(
            id="against-02",
            observe=_together,
            hints=(
                "A container is started without waiting for its end: how often can you do that?",
                "A container that nobody holds any more is ended: where do you keep yours?",
                "Their program must go on until the check has looked.",
            ),
            draw=drawn.name(CROWDS),
        ),
    ),
)
