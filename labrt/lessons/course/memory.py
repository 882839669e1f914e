"""Lesson "memory": limit, reclaim, out of memory, pressure (notebook 12; memory.max, memory.events
in https://docs.kernel.org/admin-guide/cgroup-v2.html)."""

from __future__ import annotations

from labrt import handle
from labrt.cgroup_v1 import numbers
from labrt.lessons import drawn, groups, needs
from labrt.lessons.lesson import Check, Lesson, Prediction, Verdict

MIB = 1 << 20
KILLED = 137  # 128 + SIGKILL, as a shell tells it
LIMIT = 64 * MIB  # of the exercise memory-01
SLACK = 8 * MIB  # what the container's programs may take beside


def _read(status: int) -> str:
    """Judge memory-p1. The exit status of what read a file larger than the limit."""
    if status == KILLED:
        return "a"
    return "c" if status else "b"


def _allocated(status: int, kills: int) -> str:
    """Judge memory-p2. The exit status of what wanted more memory than the limit, and how many
    processes the kernel has killed for want of memory."""
    if status == KILLED and kills:
        return "b"
    return "a" if status else "c"


def _killed(runs: bool, kills: int) -> str:
    """Judge memory-p3. Whether the container runs after its shell's child wanted too much."""
    if not runs:
        return "a"
    return "b" if kills else "c"


def _holds(wanted: str) -> Verdict:
    """memory-01: a container with a limit of 64 MiB that holds so many MiB of its own memory."""
    own: dict[str, tuple[str, int]] = {}
    limits = groups.texts("memory.max")
    for name, text in groups.texts("memory.stat").items():
        stat = numbers(text)
        own[name] = limits.get(name, ""), stat["anon"] + stat["shmem"]
    least = int(wanted) * MIB
    told = "; ".join(f"{name}: {held / MIB:.1f} MiB" for name, (_limit, held) in own.items())
    return Verdict(
        passed=any(
            limit == str(LIMIT) and least <= held <= least + SLACK for limit, held in own.values()
        ),
        expected=f"a running container, limited to 64 MiB, that holds {wanted} MiB of its own",
        saw=f"its own memory: {told}" if told else "no running container with a cgroup",
    )


def _survives(wanted: str) -> Verdict:
    """memory-02: a running container in which the kernel has killed so many processes."""
    kills = {
        each.spec.life.name: each.cgroup.oom_kills()
        for each in handle.containers()
        if each.cgroup is not None
    }
    told = "; ".join(f"{name}: {count}" for name, count in kills.items())
    return Verdict(
        passed=int(wanted) in kills.values(),
        expected=f"a running container in which {wanted} processes were killed for want of memory",
        saw=f"killed in {told}" if told else "no running container with a cgroup",
    )


LESSON = Lesson(
    key="memory",
    number=12,
    title="limit, reclaim, out of memory",
    claims=("C20",),
    needs=(needs.CONTAINER, needs.LIMITED, needs.VM),
    root_only="both exercises, where no cgroup is delegated to the user",
    predictions=(
        Prediction(
            id="memory-p1",
            choices={
                "a": "is killed once 32 MiB of the file are in memory",
                "b": "reads the file to its end",
                "c": "gets an error from read: no memory",
            },
            judge=_read,
        ),
        Prediction(
            id="memory-p2",
            choices={
                "a": 'is told so, says "out of memory" and ends',
                "b": "is killed by signal 9",
                "c": "goes on, for the limit counts files only",
            },
            judge=_allocated,
        ),
        Prediction(
            id="memory-p3",
            choices={
                "a": "the whole container ends",
                "b": "the child ends, the shell goes on",
                "c": "nothing ends: the child is refused the memory",
            },
            judge=_killed,
        ),
    ),
    checks=(
        Check(
            id="memory-01",
            observe=_holds,
            hints=(
                "Cached files don't count: they could be dropped. What can't?",
                "A file in /dev/shm has no disk to go back to: it is memory of its container's.",
                "dd copies so many blocks of such a size; and something must go on running.",
            ),
            draw=drawn.number(20, 30),
        ),
        Check(
            id="memory-02",
            observe=_survives,
            hints=(
                "In section 8 the shell outlived its child. How often can it start one?",
                "A loop of the shell's; and after the loop, something that lasts.",
                "The count is of killed processes, exactly. Where there is swap, limit it, too.",
            ),
            draw=drawn.number(2, 5),
        ),
    ),
)
