"""Lesson "ipc": System V IPC of its own (notebook 05, ipc_namespaces(7))."""

from __future__ import annotations

from labrt.lessons import drawn, needs, observe, queues, sharing
from labrt.lessons.lesson import Check, Lesson, Prediction, Verdict

ROOMS = ("atlas", "bison", "comet", "dune", "eagle", "flint", "glade", "haven", "iris", "jade")


def _seen(key: int, keys: list[int]) -> str:
    """Judge ipc-p1. The host's key, and the keys that the container sees."""
    return "a" if key in keys else "b"


def _twice(answer: str) -> str:
    """Judge ipc-p2. What came of making the queue once more, in the container."""
    return {"made": "b", "File exists": "a"}.get(answer, "c")


def _after(key: int, keys: list[int], namespace_left: bool) -> str:
    """Judge ipc-p3. The key, the host's keys afterwards, whether the namespace is still there."""
    if key in keys:
        return "a"
    return "c" if namespace_left else "b"


def _segment(wanted: str) -> Verdict:
    """ipc-01: a container's ipc namespace with a shared memory segment of the drawn size."""
    here = observe.namespace("self", "ipc")
    boxes = [pid for pid in observe.containers() if observe.namespace(pid, "ipc") != here]
    found = {pid: queues.segments(pid) for pid in boxes}
    told = "; ".join(f"pid {pid}: sizes {sizes or 'none'}" for pid, sizes in found.items())
    return Verdict(
        passed=any(int(wanted) in sizes for sizes in found.values()),
        expected=f"a shared memory segment of {wanted} bytes in the ipc namespace of a container",
        saw=told or "no running container with an ipc namespace of its own",
    )


def _together(wanted: str) -> Verdict:
    """ipc-02: two containers in one ipc namespace, one of them with the drawn host name."""
    return sharing.one_namespace("ipc", wanted)


LESSON = Lesson(
    key="ipc",
    number=5,
    title="message queues and shared memory of its own",
    claims=("C16",),
    needs=(needs.CONTAINER, needs.COMMANDS, needs.VM),
    predictions=(
        Prediction(
            id="ipc-p1",
            choices={"a": "sees it, by its key", "b": "doesn't see it"},
            judge=_seen,
        ),
        Prediction(
            id="ipc-p2",
            choices={
                "a": "the kernel refuses: there is one with this key",
                "b": "a second queue with the same key is made",
                "c": "the kernel refuses: a container has no message queues",
            },
            judge=_twice,
        ),
        Prediction(
            id="ipc-p3",
            choices={
                "a": "it is the host's from now on",
                "b": "it is gone, with its namespace",
                "c": "it stays in its namespace until the host is switched off",
            },
            judge=_after,
        ),
    ),
    checks=(
        Check(
            id="ipc-01",
            observe=_segment,
            hints=(
                "The table in section 4 has the other kind of object. Which command makes one of "
                "this kind? (man ipcmk)",
                "A program makes objects in its own ipc namespace. How did a program of the host's "
                "get into the container's?",
                "The container must still run while the check looks.",
            ),
            draw=drawn.number(4096, 60000),
        ),
        Check(
            id="ipc-02",
            observe=_together,
            hints=(
                "The flag of section 6 takes the host's namespace. What else can it name?",
                "A container can be given a name when it starts, and a second one can refer to it.",
                "Both must run, and the host name is the one of the uts lesson, not the name.",
            ),
            draw=drawn.name(ROOMS),
        ),
    ),
)
