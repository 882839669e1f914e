"""Lesson "mnt": a tree of files of its own (notebook 03, mount_namespaces(7))."""

from __future__ import annotations

import os
from pathlib import Path

from labrt.lessons import drawn, mount_table, needs, observe
from labrt.lessons.lesson import Check, Lesson, Prediction, Verdict

PLACES = ("attic", "barn", "cellar", "depot", "garage", "hangar", "larder", "shed", "silo", "vault")
ALONE = "nothing of the host's is mounted"


def _reached(seen: list[str], folder: list[str]) -> str:
    """Judge mnt-p1 and mnt-p3. What "/" holds after the second chroot; what the folder holds; []
    if the kernel refused."""
    if not seen:
        return "c"
    return "a" if sorted(seen) == sorted(folder) else "b"


def _more_mounts(container: int, host: int) -> str:
    """Judge mnt-p2. By how many mounts each of the two tables has grown."""
    return {(0, 0): "c", (1, 0): "b"}.get((container, host), "a")


def _in_memory(wanted: str) -> Verdict:
    """mnt-01: a container with a tmpfs on the drawn folder, which the host hasn't."""
    point = f"/{wanted}"
    found = {pid: _tmpfs(pid) for pid in observe.containers()}
    told = "; ".join(f"pid {pid}: {', '.join(points)}" for pid, points in found.items())
    return Verdict(
        passed=any(point in points for points in found.values()) and point not in _tmpfs("self"),
        expected=f"a running container with a tmpfs on {point}",
        saw=f"tmpfs in {told}" if found else "no running container",
    )


def _tmpfs(pid: int | str) -> list[str]:
    return [each.point for each in mount_table.mounted(pid) if each.kind == "tmpfs"]


def _pivoted(wanted: str) -> Verdict:
    """mnt-02: a process that labrt didn't start, the drawn name in its root, without a way back."""
    found = {pid: _root(pid, wanted) for pid in observe.strangers("mnt")}
    named = {pid: told for pid, told in found.items() if told}
    told = "; ".join(f"pid {pid}: {told}" for pid, told in named.items())
    return Verdict(
        passed=ALONE in named.values(),
        expected=f"a process of another mount namespace, {wanted} in its root, {ALONE}",
        saw=told or f"no process of another mount namespace with {wanted} in its root",
    )


def _root(pid: int, wanted: str) -> str:
    """Say what is around a process's root; "" if the name isn't in it."""
    root = Path(f"/proc/{pid}/root")
    try:
        if not (root / wanted).exists():
            return ""
        below = os.readlink(root)
    except OSError:
        return ""
    if below != "/":
        return f"its root is {below}, below that of its namespace, as by chroot"
    ours = _top("self")
    left = [each.point for each in mount_table.mounted(pid) if (each.device, each.root) == ours]
    return f"the host's root is still mounted, on {left[0]}" if left else ALONE


def _top(pid: int | str) -> tuple[str, str] | None:
    """Return what is mounted on "/": file system and folder of it."""
    found = [each for each in mount_table.mounted(pid) if each.point == "/"]
    return (found[-1].device, found[-1].root) if found else None


ESCAPED = {
    "a": "what the folder holds, as before",
    "b": "what the host's root holds",
    "c": "nothing: the kernel refuses the second chroot",
}

LESSON = Lesson(
    key="mnt",
    number=3,
    title="a tree of files of its own",
    claims=("C13",),
    needs=(
        needs.CONTAINER,
        needs.programs("by hand; exercise mnt-02", "util-linux", "unshare", "mount"),
        needs.VM,
    ),
    predictions=(
        Prediction(id="mnt-p1", choices=ESCAPED, judge=_reached),
        Prediction(
            id="mnt-p2",
            choices={
                "a": "both tables have a line more",
                "b": "the container's table has a line more, the host's hasn't",
                "c": "neither has: the container may not mount",
            },
            judge=_more_mounts,
        ),
        Prediction(id="mnt-p3", choices=ESCAPED, judge=_reached),
    ),
    checks=(
        Check(
            id="mnt-01",
            observe=_in_memory,
            hints=(
                "A container can be started with mounts of its own: which words does labrt have "
                "for them? (Lesson 00, section 7, tells how to list all.)",
                "A tmpfs is a file system in memory. Its place begins with a slash.",
                "The option takes several places: give it a tuple, even of one.",
            ),
            draw=drawn.name(PLACES),
        ),
        Check(
            id="mnt-02",
            observe=_pivoted,
            hints=(
                "The cell above leaves the host's tree mounted in one folder. Which command of "
                "busybox takes it away, though the shell itself still came from there?",
                "The program must last, and it must be one of the new root's: exec it.",
                "Make the drawn name in the folder before or after the pivot; touch will do. And "
                "subprocess.Popen doesn't wait.",
            ),
            draw=drawn.name(PLACES),
        ),
    ),
)
