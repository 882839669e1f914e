"""Lesson "layers": many containers of one image (notebook 17, overlayfs)."""

from __future__ import annotations

import os

from labrt import handle
from labrt.lessons import drawn, mount_table, needs, observe
from labrt.lessons.layer_stack import root_stack, stack
from labrt.lessons.lesson import Check, Lesson, Prediction, Verdict

COMMANDS = ("awk", "cal", "nc", "od", "ping", "sed", "tac", "tar", "vi", "wget")
WORDS = ("basalt", "chalk", "clay", "flint", "gneiss", "loam", "marl", "sand", "schist", "slate")


def _other(said: str, written: str) -> str:
    """Judge layers-p1. What the second container reads where the first one has written."""
    return "a" if written in said else "b"


def _copied(grown: int, file: int) -> str:
    """Judge layers-p2. Bytes that the upper folder has got, and those of the file."""
    return "b" if grown >= file else "a"


def _without_library(said: str, library: str) -> str:
    """Judge layers-p3. What the program told, and the library whose layer is missing."""
    if library in said:
        return "b"
    return "a" if "Linux version" in said else "c"


def _deleted(wanted: str) -> Verdict:
    """layers-01: a container whose image has the commands, but whose root has none of them."""
    commands = wanted.split()
    found = {}
    for box in handle.containers():
        pid = box.status.pid
        made = root_stack(pid, box.folder)
        if made and all(any(_has(layer, each) for layer in made.lower) for each in commands):
            found[pid] = [each for each in commands if _has(f"/proc/{pid}/root", each)]
    told = "; ".join(
        f"pid {pid}: {', '.join(left)} still there" if left else f"pid {pid}: all are missing"
        for pid, left in found.items()
    )
    return Verdict(
        passed=[] in found.values(),
        expected=f"a running container in whose /bin {' and '.join(commands)} are missing, unlike "
        "in its image",
        saw=told or f"no running container of an image with {' and '.join(commands)}",
    )


def _has(root: str, command: str) -> bool:
    return os.path.lexists(f"{root}/bin/{command}")


def _by_hand(wanted: str) -> Verdict:
    """layers-02: an overlay of two lower folders and an upper one, in which the name is seen."""
    here = {each.device for each in mount_table.mounted("self")}
    found = {
        each.device: (each, os.path.lexists(f"/proc/{pid}/root{each.point}/{wanted}"))
        for pid in observe.strangers("mnt")
        for each in mount_table.mounted(pid)
        if each.kind == "overlay" and each.point != "/" and each.device not in here
    }
    made = [(each.point, stack(each), seen) for each, seen in found.values()]
    told = "; ".join(
        f"on {point}: {len(its.lower)} lower, {'an' if its.upper else 'no'} upper, "
        f"{wanted} {'seen' if seen else 'not seen'}"
        for point, its, seen in made
    )
    return Verdict(
        passed=any(len(its.lower) > 1 and its.upper and seen for _, its, seen in made),
        expected=f"an overlay that labrt didn't mount: two lower folders, an upper, {wanted} in it",
        saw=told or "no overlay in a mount namespace that labrt didn't make",
    )


LESSON = Lesson(
    key="layers",
    number=17,
    title="layers and overlayfs",
    claims=("C01", "C08", "C26"),
    needs=(
        needs.CONTAINER,
        needs.programs(
            "by hand; the image of two layers", "util-linux and libc-bin", "unshare", "mount", "ldd"
        ),
        needs.VM,
    ),
    predictions=(
        Prediction(
            id="layers-p1",
            choices={
                "a": "what the first has written: it is one file",
                "b": "what the image says",
            },
            judge=_other,
        ),
        Prediction(
            id="layers-p2",
            choices={
                "a": "nothing, or some bytes: the file's data are as before",
                "b": "a copy of the whole file",
            },
            judge=_copied,
        ),
        Prediction(
            id="layers-p3",
            choices={
                "a": "runs: the host has the library, too",
                "b": "fails, and the library is named",
                "c": "isn't found",
            },
            judge=_without_library,
        ),
    ),
    checks=(
        Check(
            id="layers-01",
            observe=_deleted,
            hints=(
                "A container's root may delete what its image has brought. What is left of it, and "
                "where? (section 4)",
                "Both commands must be gone from the container's own /bin, and the container must "
                "still run.",
                "A shell in the container can do one thing after the other.",
            ),
            draw=drawn.some(COMMANDS, 2),
        ),
        Check(
            id="layers-02",
            observe=_by_hand,
            hints=(
                "Section 6 has two lower folders and no upper one, section 9 an upper one. What "
                "are the names of the mount's options?",
                "The overlay lives as long as its mount namespace, and that as long as a process "
                "is in it.",
                "Make the drawn file before the mount in one of the folders, or after it in the "
                "overlay. And don't wait for the program: subprocess.Popen starts it and returns.",
            ),
            draw=drawn.name(WORDS),
        ),
    ),
)
