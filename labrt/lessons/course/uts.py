"""Lesson "uts": a host name of its own (notebook 02, uts_namespaces(7))."""

from __future__ import annotations

from labrt.lessons import drawn, needs, observe
from labrt.lessons.lesson import Check, Lesson, Prediction, Verdict

ANIMALS = (
    "badger",
    "falcon",
    "gecko",
    "heron",
    "lynx",
    "marmot",
    "otter",
    "raven",
    "stoat",
    "wren",
)


def _both_sides(host: str, container: str) -> str:
    """Judge uts-p1. Each: what `uname -nr` says there, "NAME RELEASE"."""
    (host_name, host_release), (name, release) = host.split(), container.split()
    if release != host_release:
        return "a"
    return "c" if name == host_name else "b"


def _host_program(said: str, host: str, container: str) -> str:
    """Judge uts-p2. `said`: what the host's program printed; the two names it may have printed."""
    if said not in (host, container):
        return "c"
    return "a" if said == host else "b"


def _without(refused: bool, before: str, after: str) -> str:
    """Judge uts-p3. Whether a container without a uts namespace was refused; the host's names."""
    if before != after:
        return "b"
    return "c" if refused else "a"


def _container_named(wanted: str) -> Verdict:
    """uts-01: a container with a uts namespace of its own, in which the host name is `wanted`."""
    here = observe.namespace("self", "uts")
    named = {pid: observe.hostname(pid) for pid in observe.containers()}
    own = {pid for pid in named if observe.namespace(pid, "uts") not in (None, here)}
    return Verdict(
        passed=any(named[pid] == wanted for pid in own),
        expected=f"a running container with the host name {wanted}, in a uts namespace of its own",
        saw=_spelled(named, own),
    )


def _spelled(named: dict[int, str | None], own: set[int]) -> str:
    if not named:
        return "no running container"
    parts = [
        f"pid {pid} with the host name {name}" + ("" if pid in own else " in this notebook's")
        for pid, name in named.items()
    ]
    return "; ".join(parts)


def _by_hand(wanted: str) -> Verdict:
    """uts-02: a process, not a labrt container, in a uts namespace where the name is `wanted`."""
    contained = {observe.namespace(pid, "uts") for pid in observe.containers()}
    others = _first_in_each_other()
    named = {space: observe.hostname(pid) for space, pid in others.items()}
    made = {space: name for space, name in named.items() if space not in contained}
    return Verdict(
        passed=wanted in made.values(),
        expected=f"a process that labrt didn't start, in a uts namespace with the name {wanted}",
        saw=_told(wanted, made, named),
    )


def _first_in_each_other() -> dict[str, int]:
    """Return each uts namespace of the host but this notebook's → a process in it."""
    here = observe.namespace("self", "uts")
    found: dict[str, int] = {}
    for pid in observe.processes():
        space = observe.namespace(pid, "uts")
        if space is not None and space != here:
            found.setdefault(space, pid)
    return found


def _told(wanted: str, made: dict[str, str | None], named: dict[str, str | None]) -> str:
    if wanted in made.values():
        return f"{wanted} in {next(space for space, name in made.items() if name == wanted)}"
    if wanted in named.values():
        return "the name is there, but it is a labrt container's"
    names = ", ".join(f"{name} in {space}" for space, name in made.items())
    return f"other uts namespaces, without labrt's: {names or 'none'}"


LESSON = Lesson(
    key="uts",
    number=2,
    title="a host name of its own",
    claims=("C17",),
    needs=(needs.CONTAINER, needs.COMMANDS, needs.VM),
    predictions=(
        Prediction(
            id="uts-p1",
            choices={
                "a": "both differ",
                "b": "the name differs, the kernel release is the same",
                "c": "both are the same",
            },
            judge=_both_sides,
        ),
        Prediction(
            id="uts-p2",
            choices={
                "a": "the host's name, because it is the host's program",
                "b": "the container's name",
                "c": "nothing, or an error",
            },
            judge=_host_program,
        ),
        Prediction(
            id="uts-p3",
            choices={
                "a": "it starts, and its name is the host's",
                "b": "it starts, and the host is renamed",
                "c": "it doesn't start",
            },
            judge=_without,
        ),
    ),
    checks=(
        Check(
            id="uts-01",
            observe=_container_named,
            hints=(
                "Compare with the container in the variable box: what gave that one its name?",
                "The container must be running while the check looks: does its program last?",
                "A container ends when nothing refers to it any more: keep it in a variable.",
            ),
            draw=drawn.name(ANIMALS),
        ),
        Check(
            id="uts-02",
            observe=_by_hand,
            hints=(
                "The cell above made such a namespace; it was gone once its program had ended.",
                "A namespace lives as long as a process is in it: after setting the name, the "
                "shell must run something that lasts.",
                "Don't wait for the program: subprocess.Popen starts it and returns at once.",
            ),
            draw=drawn.name(ANIMALS),
        ),
    ),
)
