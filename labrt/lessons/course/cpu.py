"""Lesson "cpu": share, quota and throttling (notebook 11; cpu.weight, cpu.max, cpu.stat in
https://docs.kernel.org/admin-guide/cgroup-v2.html)."""

from __future__ import annotations

from labrt import handle
from labrt.lessons import drawn, groups, needs
from labrt.lessons.lesson import Check, Lesson, Prediction, Verdict
from labrt.usage import Usage


def _quota(looks: list[Usage]) -> str:
    """Judge cpu-p1. Looks at a container whose quota is a fifth of a CPU, first to last."""
    share = share_of(looks)
    if share > 0.5:
        return "a"
    return "b" if share > 0.01 else "c"


def _weights(light: float, heavy: float) -> str:
    """Judge cpu-p2. CPU time of two containers on one CPU, their weights one to three."""
    ratio = heavy / max(light, 1e-9)
    if ratio < 1.7:
        return "a"
    return "b" if ratio < 10 else "c"


def _together(looks: list[Usage]) -> str:
    """Judge cpu-p3. Looks at a container of four busy processes whose quota is a fifth."""
    return "a" if share_of(looks) > 0.4 else "b"


def share_of(looks: list[Usage]) -> float:
    """Return the CPU time between the first look and the last, in CPUs."""
    first, last = looks[0], looks[-1]
    used = (last.cpu_usec or 0) - (first.cpu_usec or 0)
    return used / 1e6 / (last.time - first.time)


def _held_back(wanted: str) -> Verdict:
    """cpu-01: a running container with a quota of the drawn percent that has been held back."""
    found = {
        each.spec.life.name: (_percent(text), each.usage().throttled_periods or 0)
        for each in handle.containers()
        if (text := groups.texts("cpu.max").get(each.spec.life.name))
    }
    told = "; ".join(
        f"{name}: {percent:g} %, held back in {times} periods"
        for name, (percent, times) in found.items()
    )
    return Verdict(
        passed=any(percent == int(wanted) and times for percent, times in found.values()),
        expected=f"a running container that gets {wanted} % of a CPU at most and was held back",
        saw=told.replace("inf %", "no quota") or "no running container with a cgroup",
    )


def _percent(text: str) -> float:
    quota, _, period = text.partition(" ")
    return float("inf") if quota == "max" else 100 * int(quota) / int(period)


def _ratio(wanted: str) -> Verdict:
    """cpu-02: two running containers, the weight of one so many times that of the other."""
    found = {name: int(text) for name, text in groups.texts("cpu.weight").items()}
    heavy = {weight for light in found.values() if (weight := light * int(wanted))}
    return Verdict(
        passed=bool(heavy & set(found.values())),
        expected=f"two running containers, one with {wanted} times the other's cpu.weight",
        saw=groups.spelled("cpu.weight", {name: str(found[name]) for name in found}),
    )


LESSON = Lesson(
    key="cpu",
    number=11,
    title="share, quota and throttling",
    claims=("C20",),
    needs=(needs.CONTAINER, needs.LIMITED, needs.VM),
    root_only="both exercises, where no cgroup is delegated to the user",
    predictions=(
        Prediction(
            id="cpu-p1",
            choices={
                "a": "about two seconds: the CPU is slower, but never idle",
                "b": "about 0.4 seconds",
                "c": "none: it waits until the CPU has nothing else to do",
            },
            judge=_quota,
        ),
        Prediction(
            id="cpu-p2",
            choices={
                "a": "as much CPU time as the first",
                "b": "three times the CPU time of the first",
                "c": "all of it, and the first gets next to nothing",
            },
            judge=_weights,
        ),
        Prediction(
            id="cpu-p3",
            choices={
                "a": "a fifth of a CPU each, 0.8 in all",
                "b": "a fifth of a CPU together",
            },
            judge=_together,
        ),
    ),
    checks=(
        Check(
            id="cpu-01",
            observe=_held_back,
            hints=(
                "Two things are looked at: the quota, and whether it has ever been used up.",
                "A program that sleeps uses no CPU time. What kept the container box busy?",
                "Percent of one CPU: which number is that for cpus?",
            ),
            draw=drawn.number(3, 15),
        ),
        Check(
            id="cpu-02",
            observe=_ratio,
            hints=(
                "The two containers of section 6 had a weight each. What gave it to them?",
                "Who says nothing has the weight 100. Only the proportion counts.",
                "Both must run while the check looks: keep them in variables.",
            ),
            draw=drawn.number(4, 6),
        ),
    ),
)
