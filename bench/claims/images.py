"""Claims about packages and their way to another host (experiment "image")."""

from __future__ import annotations

from collections.abc import Sequence

from bench import statistics, units
from bench.claims.evidence import Evidence, apart, counted, less
from bench.claims.verdict import Finding, Verdict, verdict
from bench.observations import Observation

EXPERIMENT = "image"
KINDS = ("container", "vm")
PARTS = {"kernel": "kernel", "guest": "what else a guest needs", "files": "the image's own files"}
# A change sends "only the changed part" if it sends less than this share of what the first did.
PART = 0.5


def no_guest_system(evidence: Evidence) -> Verdict:
    """C08."""
    return verdict([_contents(evidence, "container", False), _contents(evidence, "vm", True)])


def _contents(evidence: Evidence, kind: str, guest: bool) -> Finding | None:
    """Has it got a kernel and a guest's files, as it should or should not?"""
    sizes = {part: _middle(evidence.number(EXPERIMENT, kind, "contents", part)) for part in PARTS}
    if None in sizes.values():
        return None
    told = ", ".join(
        f"{PARTS[part]} {units.text(size, 'B')}" for part, size in sizes.items() if size is not None
    )
    found = bool(sizes["kernel"] or sizes["guest"])
    return Finding(
        found == guest,
        f"What the {evidence.title(EXPERIMENT, kind)} is made of: {told}.",
        {f"{kind} {part} [B]": size for part, size in sizes.items()},
        counted(evidence.number(EXPERIMENT, kind, "contents", "files")),
    )


def moves(evidence: Evidence) -> Verdict:
    """C09."""
    return verdict(
        [
            _sent_less(evidence, "first"),
            less(evidence, EXPERIMENT, "first", "total", "runs on another host after"),
        ]
    )


def deploys(evidence: Evidence) -> Verdict:
    """C22."""
    verb = "runs its changed program on another host after"
    return verdict(
        [less(evidence, EXPERIMENT, "update", "total", verb)],
        [less(evidence, "startup", "T0-T3", "time", "is ready after")],
    )


def only_the_change(evidence: Evidence) -> Verdict:
    """C26."""
    return verdict(
        [_share(evidence, "container"), _sent_less(evidence, "update")], [_share(evidence, "vm")]
    )


def _sent_less(evidence: Evidence, phase: str) -> Finding | None:
    """Does less of a container than of a VM have to travel?"""
    both = [evidence.number(EXPERIMENT, kind, phase, "sent") for kind in KINDS]
    sizes = [_middle(rows) for rows in both]
    if sizes[0] is None or sizes[1] is None:
        return None
    what = {"first": "To bring it to another host", "update": "To change one line of it there"}
    titles = [evidence.title(EXPERIMENT, kind) for kind in KINDS]
    told = " and ".join(
        f"{units.text(size, 'B')} of the {title}"
        for size, title in zip(sizes, titles, strict=True)
        if size is not None
    )
    return Finding(
        apart(*both),
        f"{what[phase]}, {told} were sent.",
        {f"{kind} {phase} sent [B]": size for kind, size in zip(KINDS, sizes, strict=True)},
        counted([*both[0], *both[1]]),
    )


def _share(evidence: Evidence, kind: str) -> Finding | None:
    """How much of the first transfer the change takes."""
    first, update = (
        evidence.number(EXPERIMENT, kind, phase, "sent") for phase in ("first", "update")
    )
    whole, part = _middle(first), _middle(update)
    if not whole or part is None:
        return None
    return Finding(
        part < PART * whole,
        f"A change of one line of the {evidence.title(EXPERIMENT, kind)} sends "
        f"{100 * part / whole:.2g} % of what the first transfer did.",
        {f"{kind} update / first": part / whole},
        counted(update),
    )


def _middle(rows: Sequence[Observation]) -> float | None:
    return statistics.summarise(rows).median


JUDGES = {"C08": no_guest_system, "C09": moves, "C22": deploys, "C26": only_the_change}
