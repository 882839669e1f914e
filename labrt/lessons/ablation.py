"""A container's recipe with one step left out at a time, and what came of each (docs/recipe.md).

What a container lacks is read from /proc on the host's side, beside a container that lacks nothing.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from labrt import client
from labrt.declare import declare
from labrt.differences import ABSENT, READERS
from labrt.errors import LabError
from labrt.images import store
from labrt.lessons import observe
from labrt.lessons.graph import Edge, Graph, Node
from labrt.lessons.observe import HasPid
from labrt.lessons.shown import Shown, table
from labrt.options import given
from labrt.recipe import recipe
from labrt.step import Step

IMAGE = "busybox"
PROGRAM = ("sleep", "600")
NOTHING = "nothing that /proc tells"
NONE = "none"
MOST_WORDS = 3  # told one by one; of more, the number

Outcome = Literal["vital", "refused", "runs"]
FRAMES: dict[Outcome, str] = {
    "vital": "vital: the lab refuses",
    "refused": "the kernel refuses a later step",
    "runs": "it runs, and lacks something",
}

# Steps whose absence the host can see, one of which is left out of a student's container.
CASES = (
    "LoadSeccomp",
    "DropBoundingSet",
    "MaskPath",
    "MakeReadOnly",
    "RaiseLoopback",
    "LinkDevices",
    "UnshareCgroupNamespace",
)
HOSTNAME = "case-"


@dataclass(frozen=True)
class Trial:
    """A start with one step left out.

    Attributes:
        said: why the lab refuses, what the kernel answered, or what the container lacks.
        failed: the step that the kernel refused, "" for none.
    """

    step: str
    man: str
    outcome: Outcome
    said: str
    failed: str = ""


def steps() -> list[Step]:
    """Return one step of each name of the recipe that the trials start from."""
    spec = declare(store.resolve(IMAGE), PROGRAM, given())
    return list({step.name: step for step in recipe(spec)}.values())


def leave_out(*names: str) -> Trial:
    """Start a container without these steps and end it at once.

    Raises:
        LabError: there is no such step; or the whole container can't be started.
    """
    known = {step.name: step for step in steps()}
    man = " ".join(known[name].man for name in names if name in known)
    told = ", ".join(names)
    with client.run(IMAGE, PROGRAM) as whole:
        try:
            with client.run(IMAGE, PROGRAM, skip=names) as less:
                return Trial(told, man, "runs", lacking(traits(whole), traits(less)))
        except LabError as error:
            if error.step_name:
                return Trial(told, man, "refused", error.answer, error.step_name)
            if any(name in known and known[name].vital for name in names):
                return Trial(told, man, "vital", error.answer)
            raise


def ablate() -> list[Trial]:
    """Leave out each step in turn, in the recipe's order.

    Raises:
        LabError: the whole container can't be started.
    """
    return [leave_out(step.name) for step in steps()]


def shown(trials: Sequence[Trial]) -> Shown:
    """Return the trials as a picture with a frame for each outcome, and as a table."""
    keys = {trial.step: f"s{number}" for number, trial in enumerate(trials)}
    tally = {outcome: [t for t in trials if t.outcome == outcome] for outcome in FRAMES}
    picture = Graph(
        f"{len(trials)} steps, each left out alone",
        "; ".join(f"{FRAMES[o]}: {', '.join(t.step for t in found)}" for o, found in tally.items()),
        [Node(keys[t.step], t.step, "box", FRAMES[t.outcome]) for t in trials],
        [Edge(keys[t.step], keys[t.failed], t.said.partition(":")[0]) for t in trials if t.failed],
    )
    rows = [(f"{t.step}, {t.man}", FRAMES[t.outcome].partition(",")[0], _told(t)) for t in trials]
    return picture.shown() + table(("left out", "so", "in detail"), rows)


def _told(trial: Trial) -> str:
    return f"{trial.failed}: {trial.said}" if trial.failed else trial.said


def traits(process: int | HasPid) -> dict[str, str]:
    """Return what can be told of a container by its first process, all of it read from /proc.

    Raises:
        OSError: it has ended, or may not be looked into.
    """
    pid = observe.pid_of(process)
    proc = Path(f"/proc/{pid}")
    ours, its = observe.namespaces_of("self") or {}, observe.namespaces_of(pid) or {}
    same_name = observe.hostname(pid) == os.uname().nodename
    return {
        **{f"{kind} namespace": _own(its[kind] != ours.get(kind)) for kind in its},
        "host name": _own(not same_name),
        "cgroups of its own": " ".join(_own_cgroups(pid)),
        **{f"mount {target}": _mode(what) for target, what in READERS["mounts"](proc).items()},
        **READERS["credentials"](proc),
        "ignored signals": _signals(observe.status(pid, "SigIgn").split()[-1]),
        "working folder": os.readlink(proc / "cwd"),
        "links in /dev": " ".join(_links(proc / "root" / "dev")),
        "loopback": _loopback(proc / "root/sys/class/net/lo/flags"),
    }


def lacking(whole: dict[str, str], less: dict[str, str]) -> str:
    """Say in what the second container differs from the first: "seccomp: filter → none"."""
    differing = [name for name in {**whole, **less} if whole.get(name) != less.get(name)]
    bare = [name for name in differing if name.startswith("mount ") and name not in less]
    facts = [
        f"{name}: {_changed(whole.get(name, ABSENT), less.get(name, ABSENT))}"
        for name in differing
        if name not in bare
    ]
    if bare:
        some = ", ".join(name.removeprefix("mount ") for name in bare[:MOST_WORDS])
        more = f" and {len(bare) - MOST_WORDS} more" if len(bare) > MOST_WORDS else ""
        facts.append(f"not mounted: {some}{more}")
    return "; ".join(facts) or NOTHING


def _changed(before: str, after: str) -> str:
    """Tell a few words as they are; of longer lists, how many have come and gone."""
    old, new = before.split(), after.split()
    if max(len(old), len(new)) <= MOST_WORDS:
        return f"{before or NONE} → {after or NONE}"
    come, gone = len(set(new) - set(old)), len(set(old) - set(new))
    parts = ((come, f"{come} more"), (gone, f"{gone} fewer"))
    return ", ".join(told for count, told in parts if count)


def start_case(number: str) -> client.Container:
    """Start the container of a student's case, in which one step has been left out.

    Args:
        number: the student's own (`labrt.draw`).

    Raises:
        LabError: it can't be started.
    """
    name = f"{HOSTNAME}{number}"
    return client.run(IMAGE, PROGRAM, hostname=name, skip=[case_step(number)])


def case_step(number: str) -> str:
    return CASES[int(number) % len(CASES)]


def _own(own: bool) -> str:
    return "its own" if own else "this notebook's"


def _own_cgroups(pid: int) -> list[str]:
    """Return the controllers, as proc_pid_cgroup(5) writes them, in whose cgroups we aren't."""
    read = READERS["cgroup"]
    ours = read(Path("/proc/self"))
    return [names for names, path in read(Path(f"/proc/{pid}")).items() if path != ours.get(names)]


def _mode(what: str) -> str:
    """A mount's last word holds its options, "ro,nosuid"."""
    return what.rpartition(" ")[2].partition(",")[0]


def _signals(mask: str) -> str:
    """Name the signals in a hexadecimal mask, whose lowest bit is number 1 (proc_pid_status(5))."""
    ignored = [number for number in range(1, 65) if int(mask, 16) >> number - 1 & 1]
    known = {each.value: each.name for each in signal.Signals}
    return " ".join(known.get(number, str(number)) for number in ignored)


def _links(folder: Path) -> list[str]:
    return sorted(entry.name for entry in folder.iterdir() if entry.is_symlink())


def _loopback(file: Path) -> str:
    """Whether it is up (IFF_UP, netdevice(7))."""
    try:
        return "up" if int(file.read_text(), 16) & 1 else "down"
    except FileNotFoundError:
        return "unknown, without /sys"
