"""Lesson "io": the disk (notebook 14; io.max, io.stat in
https://docs.kernel.org/admin-guide/cgroup-v2.html)."""

from __future__ import annotations

from labrt import handle
from labrt.errors import LabError
from labrt.lessons import disks, drawn, groups, needs
from labrt.lessons.lesson import Check, Lesson, Prediction, Verdict
from labrt.lessons.needs import Need

MIB = 1 << 20


def _disk() -> None:
    disks.lab_disk()


def _direct(seconds: float) -> str:
    """Judge io-p1. How long 3 MiB took, past the cache, at 1 MiB a second."""
    if seconds < 0.7:
        return "a"
    return "b" if seconds < 1.7 else "c"


def _buffered(seconds: float) -> str:
    """Judge io-p2. The same through the cache."""
    return "a" if seconds > 1.7 else "b"


def _again(first: float, second: float) -> str:
    """Judge io-p3. Two readings of one file of 2 MiB, at 1 MiB a second."""
    return "a" if second > first / 2 else "b"


def _limited(wanted: str) -> Verdict:
    """io-01: a running container that may write the drawn number of KiB a second to a disk."""
    found = groups.texts("io.max")
    pair = f"wbps={int(wanted) * 1024}"
    told = {name: ", ".join(text.splitlines()) or "no limit" for name, text in found.items()}
    return Verdict(
        passed=any(pair in text.split() for text in found.values()),
        expected=f"a running container that may write {wanted} KiB a second to a disk: {pair}",
        saw=groups.spelled("io.max", told),
    )


def _written(wanted: str) -> Verdict:
    """io-02: a running container that has written so many MiB to disks, as io.stat counts."""
    found = {}
    for each in handle.containers():
        try:
            found[each.spec.life.name] = each.usage().written_bytes
        except LabError:
            continue  # without a cgroup; or it ended meanwhile
    counted = {name: count / MIB for name, count in found.items() if count is not None}
    told = "; ".join(f"{name}: {count:.1f} MiB" for name, count in counted.items())
    return Verdict(
        passed=any(int(wanted) <= count < int(wanted) + 1 for count in counted.values()),
        expected=f"a running container that has written {wanted} MiB to a disk, and no MiB more",
        saw=told or "no running container with a cgroup that counts it",
    )


LESSON = Lesson(
    key="io",
    number=14,
    title="the disk",
    needs=(
        needs.CONTAINER,
        needs.LIMITED,
        Need("files of containers on a disk", "all that is limited or counted", _disk),
        needs.VM,
    ),
    root_only="both exercises, where no cgroup is delegated to the user",
    predictions=(
        Prediction(
            id="io-p1",
            choices={
                "a": "about as long as without a limit",
                "b": "one second: the rest waits in the disk's own memory",
                "c": "three seconds",
            },
            judge=_direct,
        ),
        Prediction(
            id="io-p2",
            choices={"a": "three seconds again", "b": "next to no time"},
            judge=_buffered,
        ),
        Prediction(
            id="io-p3",
            choices={"a": "as long as the first", "b": "next to no time"},
            judge=_again,
        ),
    ),
    checks=(
        Check(
            id="io-01",
            observe=_limited,
            hints=(
                "Section 3 gave a container such a limit, of 1 MiB a second.",
                "m is for MiB; what is for KiB? And is it the disk that section 3 names?",
                "The container must run while the check looks; it need not write.",
            ),
            draw=drawn.number(100, 800),
        ),
        Check(
            id="io-02",
            observe=_written,
            hints=(
                "What goes into the cache hasn't been written to the disk yet.",
                "dd writes so many blocks of such a size; which flag takes it past the cache?",
                "The container must go on running after that: its cgroup holds the count.",
            ),
            draw=drawn.number(5, 10),
        ),
    ),
)
