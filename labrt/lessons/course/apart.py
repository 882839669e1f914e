"""Lesson "apart": a container taken apart, one step left out at a time (notebook 23,
docs/recipe.md)."""

from __future__ import annotations

from labrt.lessons import ablation, drawn, needs, observe
from labrt.lessons.lesson import Check, Lesson, Prediction, Verdict

PARTS = (
    "anvil",
    "bellows",
    "chisel",
    "drill",
    "file",
    "gauge",
    "hammer",
    "lathe",
    "mallet",
    "vise",
)


def _without(outcome: str) -> str:
    """Judge apart-p1 and apart-p2. What came of a start (ablation.Trial)."""
    return {"runs": "a", "refused": "b", "vital": "c"}[outcome]


def _bare(outcome: str, uid: int) -> str:
    """Judge apart-p3. What came of the start; the host's uid of the program."""
    if outcome != "runs":
        return "a"
    return "c" if uid == 0 else "b"


def _same_gap(wanted: str) -> Verdict:
    """apart-01: besides the case's container another one in which the same is missing."""
    running = {pid: observe.hostname(pid) for pid in observe.containers()}
    cases = [pid for pid, name in running.items() if name == f"{ablation.HOSTNAME}{wanted}"]
    gap = ablation.traits(cases[0]) if cases else {}
    found = {pid: ablation.traits(pid) for pid in running if pid not in cases}
    differing = {
        pid: [name for name in {**gap, **its} if gap.get(name) != its.get(name)]
        for pid, its in found.items()
    }
    told = "; ".join(
        f"pid {pid} differs from it in {', '.join(names[:3]) or 'nothing'}"
        for pid, names in differing.items()
    )
    return Verdict(
        passed=bool(cases) and any(not names for names in differing.values()),
        expected=f"a container that lacks what {ablation.HOSTNAME}{wanted} lacks, and no more",
        saw=(told or "no other container") if cases else "the case's container doesn't run",
    )


def _by_hand(wanted: str) -> Verdict:
    """apart-02: a process that labrt didn't start, put together of four parts."""
    found = {pid: _parts(pid) for pid in observe.strangers("uts")}
    told = "; ".join(f"pid {pid}: {', '.join(parts)}" for pid, parts in found.items())
    ours = [wanted, "process 1", "no_new_privs 1", "bounding set empty"]
    return Verdict(
        passed=ours in found.values(),
        expected=f"a process that labrt didn't start: {', '.join(ours)}",
        saw=told or "no other uts namespace",
    )


def _parts(pid: int) -> list[str]:
    lines = observe.status(pid, "NoNewPrivs", "CapBnd").splitlines()
    status = {name: value.strip() for name, _, value in (line.partition(":") for line in lines)}
    inside = observe.pids(pid)[1:]
    return [
        observe.hostname(pid) or "no host name",
        f"process {inside[-1]}" if inside else "no pid namespace",
        f"no_new_privs {status.get('NoNewPrivs', 'unknown')}",
        f"bounding set {'empty' if int(status.get('CapBnd', '1'), 16) == 0 else 'not empty'}",
    ]


LESSON = Lesson(
    key="apart",
    number=23,
    title="a container taken apart",
    needs=(
        needs.CONTAINER,
        needs.programs(
            "looking in from outside; exercise apart-02",
            "util-linux and hostname",
            *("nsenter", "unshare", "setpriv", "hostname"),
        ),
        needs.VM,
    ),
    predictions=(
        Prediction(
            id="apart-p1",
            choices={
                "a": "the container runs, and its program sees the host's files",
                "b": "the kernel refuses one of the steps that follow",
                "c": "the lab refuses to start it",
            },
            judge=_without,
        ),
        Prediction(
            id="apart-p2",
            choices={
                "a": "the container runs, and setuid programs can win rights in it",
                "b": "the kernel refuses one of the steps that follow",
                "c": "the lab refuses to start it",
            },
            judge=_without,
        ),
        Prediction(
            id="apart-p3",
            choices={
                "a": "it can't be started",
                "b": "it runs as root, who on the host isn't root",
                "c": "it runs as root, and on the host it is root, too",
            },
            judge=_bare,
        ),
    ),
    checks=(
        Check(
            id="apart-01",
            observe=_same_gap,
            hints=(
                "Compare the case's container with a whole one, as section 4 does: which lines of "
                "/proc differ?",
                "The table in section 5 tells what each step's absence changes. Which row fits?",
                "Your container must run while the check looks, and lack that one thing only.",
            ),
            draw=drawn.number(100, 900),
        ),
        Check(
            id="apart-02",
            observe=_by_hand,
            hints=(
                "The cell above has three of the parts already. Which one isn't there?",
                "A host name can be set only by a process inside the new uts namespace: let a "
                "shell do it first.",
                "The last program must take the shell's place, or the shell stays process 1.",
            ),
            draw=drawn.name(PARTS),
        ),
    ),
)
