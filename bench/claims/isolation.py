"""Claims that the isolation scorecard judges (experiment "isolation", one try of each question)."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from bench.claims.evidence import Evidence
from bench.claims.verdict import Finding, Verdict, verdict
from bench.observations import Observation

EXPERIMENT = "isolation"
REACH = ("yes", "count")  # metrics of questions about what is reached of the host


class Scorecard:
    """The answers: reached(kind, question) of the host, or None where nobody has answered."""

    def __init__(self, evidence: Evidence) -> None:
        self.evidence = evidence
        self.rows = evidence.of(EXPERIMENT)

    def row(self, kind: str, question: str) -> Observation | None:
        name = self.evidence.subject(EXPERIMENT, kind)
        mine = [row for row in self.rows if (row.subject, row.phase) == (name, question)]
        return next((row for row in mine if row.status == "ok"), None)

    def reached(self, kind: str, question: str) -> float | None:
        row = self.row(kind, question)
        return None if row is None else row.value

    def text(self, kind: str, question: str) -> str:
        row = self.row(kind, question)
        return "" if row is None else str(row.conditions["text"])

    def title(self, kind: str) -> str:
        return self.evidence.title(EXPERIMENT, kind)

    def n(self, *kinds: str) -> dict[str, int]:
        names = (self.evidence.subject(EXPERIMENT, kind) for kind in kinds)
        return {name: 1 for name in names if name}

    def asked(self) -> list[str]:
        """The questions that container and process have answered, of what is reached."""
        kinds = [
            {row.phase for row in self.rows if row.metric in REACH and self.has(row, kind)}
            for kind in ("process", "container")
        ]
        order = dict.fromkeys(row.phase for row in self.rows)
        return [name for name in order if all(name in kind for kind in kinds)]

    def has(self, row: Observation, kind: str) -> bool:
        return row.status == "ok" and row.subject == self.evidence.subject(EXPERIMENT, kind)

    def words(self, questions: Iterable[str]) -> str:
        """Write questions by their text."""
        text = {
            row.phase: str(row.conditions["question"])
            for row in self.rows
            if "question" in row.conditions
        }
        return "; ".join(text[name].rstrip("?") for name in questions)


def more_isolated(evidence: Evidence) -> Verdict:
    """C04."""
    card = Scorecard(evidence)
    asked = [name for name in card.asked() if card.reached("process", name)]
    if not asked:
        return verdict([])
    less: list[str] = []
    same: list[str] = []
    more: list[str] = []
    for name in asked:
        mine, plain = card.reached("container", name) or 0, card.reached("process", name) or 0
        (less if mine < plain else same if mine == plain else more).append(name)
    title = card.title("container")
    sentence = (
        f"Of {len(asked)} things of the host that a plain process sees or reaches, the {title} "
        f"reaches less in {len(less)}, as much in {len(same)} and more in {len(more)}."
    )
    figures = {"less": len(less), "same": len(same), "more": len(more)}
    limits = (f"As much as a plain process: {card.words([*same, *more])}.",) if same + more else ()
    holds = len(less) > len(asked) / 2 and not more
    finding = Finding(holds, sentence, figures, card.n("process", "container"), limits)
    return verdict([finding], [_vm_beside(card, asked)])


def _vm_beside(card: Scorecard, asked: list[str]) -> Finding | None:
    if card.row("vm", "kernel") is None:
        return None
    reached = [name for name in asked if card.reached("vm", name)]
    return Finding(
        True,
        f"The {card.title('vm')} reaches {len(reached)} of them.",
        {"vm reaches": len(reached)},
        card.n("vm"),
    )


def whose_kernel(evidence: Evidence) -> Verdict:
    """C06."""
    card = Scorecard(evidence)
    return verdict([_kernel(card, "container", True), _kernel(card, "vm", False), _bit(card)])


def _kernel(card: Scorecard, kind: str, shared: bool) -> Finding | None:
    reached = card.reached(kind, "kernel")
    if reached is None:
        return None
    sentence = f"The {card.title(kind)} runs on {card.text(kind, 'kernel')}."
    return Finding(bool(reached) == shared, sentence, {f"{kind} shares": reached}, card.n(kind))


def _bit(card: Scorecard) -> Finding | None:
    """CPUID's hypervisor bit. On a host that is a VM itself all have it: then the names tell."""
    inside, outside = card.row("vm", "hypervisor"), card.row("process", "hypervisor")
    if inside is None or outside is None:
        return None
    names = [str(row.conditions["text"]) for row in (inside, outside)]
    sentence = f"Its processor names the hypervisor {names[0]}"
    if not outside.value:
        return Finding(bool(inside.value), f"{sentence}; the host's names none.", n=card.n("vm"))
    return Finding(
        names[0] != names[1],
        f"{sentence}; the host's names {names[1]}.",
        n=card.n("process", "vm"),
        limits=("The host is a VM itself, so everything on it runs on a hypervisor.",),
    )


def process_of_the_host(evidence: Evidence) -> Verdict:
    """C07."""
    card = Scorecard(evidence)
    seen = {kind: card.reached(kind, "visible") for kind in ("container", "vm")}
    findings = []
    if seen["container"] is not None:
        text = "is a process among the host's" if seen["container"] else "isn't seen by the host"
        findings.append(
            Finding(
                bool(seen["container"]),
                f"The program in the {card.title('container')} {text}; "
                f"{card.text('container', 'root')}.",
                {"container visible": seen["container"]},
                card.n("container"),
            )
        )
    if seen["vm"] is not None:
        text = "is a process of the host, too" if seen["vm"] else "isn't: the host sees one process"
        findings.append(
            Finding(
                not seen["vm"],
                f"That in the {card.title('vm')} {text}, its hypervisor.",
                {"vm visible": seen["vm"]},
                card.n("vm"),
            )
        )
    return verdict(findings)


def _own(kind: str, *questions: str) -> Callable[[Evidence], Verdict]:
    """Return a judge: has a container a namespace of this kind of its own, and does it reach none
    of what that hides?"""

    def judge(evidence: Evidence) -> Verdict:
        card = Scorecard(evidence)
        row = card.row("container", "namespaces")
        if row is None:
            return verdict([])
        shared = kind in str(row.conditions["text"]).split()
        title, n = card.title("container"), card.n("container")
        whose = "the host's" if shared else "its own"
        first = Finding(
            not shared, f"The {title}'s {kind} namespace is {whose}.", {f"{kind} shared": shared}, n
        )
        return verdict([first, *(_nothing(card, "container", name) for name in questions)])

    return judge


def _nothing(card: Scorecard, kind: str, question: str) -> Finding | None:
    """Nothing of what is asked is reached. Where a plain process reaches nothing either, that says
    little."""
    row = card.row(kind, question)
    if row is None:
        return None
    others = {each: card.row(each, question) for each in ("process", "vm") if each != kind}
    told = {kind: row} | {each: found for each, found in others.items() if found}
    answers = ", ".join(f"{_answer(found)} ({card.title(each)})" for each, found in told.items())
    text = str(row.conditions["question"]).rstrip("?")
    limits: tuple[str, ...] = ()
    if card.reached("process", question) == 0:
        limits = (f"A plain process doesn't either: {text}.",)
    figures = {f"{each} {question}": found.value for each, found in told.items()}
    return Finding(not row.value, f"{text}: {answers}.", figures, card.n(*told), limits)


def _answer(row: Observation) -> str:
    if row.metric == "count":
        return f"{row.value:.0f}"
    return "yes" if row.value else "no"


def cannot_see(evidence: Evidence) -> Verdict:
    """C19."""
    card = Scorecard(evidence)
    walls = ("processes", "signal", "file", "sibling", "socket", "interfaces")
    return verdict(_nothing(card, "container", question) for question in walls)


JUDGES = {
    "C04": more_isolated,
    "C06": whose_kernel,
    "C07": process_of_the_host,
    "C13": _own("mnt", "mount", "file"),
    "C14": _own("pid", "processes", "signal"),
    "C15": _own("net", "interfaces", "socket"),
    "C16": _own("ipc"),
    "C17": _own("uts", "host name"),
    "C18": _own("user", "root", "capabilities"),
    "C19": cannot_see,
}
