"""Lesson "claims": the ledger of claims, and what a verdict is (notebook 21, docs/claims.md)."""

from __future__ import annotations

from pathlib import Path

from labrt.lessons import drawn, needs, observe
from labrt.lessons.lesson import Check, Lesson, Prediction, Verdict
from labrt.lessons.needs import Need

WITNESSES = ("amber", "basil", "clove", "fennel", "ginger", "laurel", "mint", "sage", "thyme")
DECIDED = {"holds": "a", "holds with a limit": "a", "doesn't hold here": "b"}


def _said(verdict: str) -> str:
    """Judge claims-p1, claims-p2 and claims-p3. The word of a verdict (bench/claims)."""
    return DECIDED.get(verdict, "c")


def _separated(wanted: str) -> Verdict:
    """claims-01: two containers of one image, one of which can't write its root."""
    found = {pid: _root(pid) for pid in observe.containers() if observe.hostname(pid) == wanted}
    layers = {mode: {its for m, its in found.values() if m == mode} for mode in ("ro", "rw")}
    told = "; ".join(f"pid {pid}: {mode}, layers {its}" for pid, (mode, its) in found.items())
    return Verdict(
        passed=bool(layers["ro"] & layers["rw"]),
        expected=f"two containers with the host name {wanted} and the same layers, the root of one "
        "read-only (ro), of the other not (rw)",
        saw=told or f"no running container with the host name {wanted}",
    )


def _root(pid: int) -> tuple[str, str]:
    """Return how a container's root is mounted and from which layers (proc_pid_mountinfo(5))."""
    lines = Path(f"/proc/{pid}/mountinfo").read_text().splitlines()
    line = next(line for line in lines if line.split()[4] == "/")
    settings = line.split()[-1].split(",")
    lower = next((each for each in settings if each.startswith("lowerdir=")), "none")
    names = [Path(each).name for each in lower.removeprefix("lowerdir=").split(":")]
    return line.split()[5].partition(",")[0], " ".join(name[:19] for name in names)


def _counterexample(wanted: str) -> Verdict:
    """claims-02: a container in which C17 holds, and C16 doesn't."""
    here = {kind: observe.namespace("self", kind) for kind in ("ipc", "uts")}
    found = {}
    for pid in observe.containers():
        shared = [kind for kind in here if observe.namespace(pid, kind) == here[kind]]
        found[pid] = (observe.hostname(pid), shared)
    told = "; ".join(
        f"pid {pid}: host name {name}, shared with the host: {', '.join(shared) or 'none of both'}"
        for pid, (name, shared) in found.items()
    )
    return Verdict(
        passed=(wanted, ["ipc"]) in found.values(),
        expected=f"a container with the host name {wanted} in a uts namespace of its own, and in "
        "the host's ipc namespace",
        saw=told or "no running container",
    )


ANSWERS = {"a": "it holds, perhaps with a limit", "b": "it doesn't hold here", "c": "none"}

LESSON = Lesson(
    key="claims",
    number=21,
    title="the claims, and what a verdict is",
    claims=("C05",),
    root_only="what is measured with limits (sections 3 to 6 and 8)",
    needs=(
        needs.CONTAINER,
        Need("limit a container", "measuring: sections 3 to 6 and 8", needs.limits),
        Need("boot a virtual machine", "the same, and section 10", needs.vm),
        Need("use libvirt", "the same", needs.libvirt),
    ),
    predictions=tuple(
        Prediction(id=f"claims-p{number}", choices=ANSWERS, judge=_said) for number in (1, 2, 3)
    ),
    checks=(
        Check(
            id="claims-01",
            observe=_separated,
            hints=(
                "The claim speaks of an inside that stays and an outside that changes. What of the "
                "two containers is the inside here?",
                "Who runs a container may forbid it to write into its root. Look for the option.",
                "Both must run, from the same image, with the same host name.",
            ),
            draw=drawn.name(WITNESSES),
        ),
        Check(
            id="claims-02",
            observe=_counterexample,
            hints=(
                "Each kind of namespace can be left away by itself. Lesson 05 did it for this one.",
                "The host name is set in a namespace of its own: leave that one as it is.",
                "The container must still run while the check looks.",
            ),
            draw=drawn.name(WITNESSES),
        ),
    ),
)
