"""Rows of an isolation scorecard, for those who show and judge it: what each kind of instance
reaches of the host, and how much there is inside."""

from __future__ import annotations

from collections.abc import Callable

from bench.experiments._questions import QUESTIONS
from bench.observations import Observation

# question: (process, container, VM), and where it differs what there is inside
REACHED = {
    "kernel": ((1, 1, 0), (1, 1, 1)),
    "system calls": ((340, 280, 0), (340, 280, 330)),
    "kernel log": ((1, 0, 0), (1, 0, 1)),
    "modules": ((1, 0, 0), (1, 0, 1)),
    "clock": ((1, 0, 0), (1, 0, 1)),
    "user namespaces": ((1, 0, 0), (1, 0, 1)),
    "processes": ((100, 0, 0), (100, 0, 40)),
    "sibling": ((1, 0, 0), (1, 0, 0)),
    "namespaces": ((8, 1, 0), (8, 8, 8)),
    "interfaces": ((3, 0, 0), (3, 1, 1)),
    "host name": ((1, 0, 0), (1, 0, 0)),
    "file systems": ((20, 0, 0), (20, 9, 6)),
    "file": ((1, 0, 0), (1, 0, 0)),
    "signal": ((1, 0, 0), (1, 0, 0)),
    "socket": ((1, 0, 0), (1, 0, 0)),
    "devices": ((90, 7, 0), (90, 7, 80)),
    "disks": ((10, 0, 0), (10, 0, 0)),
    "proc settings": ((1200, 0, 0), (1200, 0, 800)),
    "sys settings": ((3000, 0, 0), (3000, 0, 1900)),
    "mount": ((1, 0, 0), (1, 0, 1)),
    "root": ((1, 0, 0), (1, 1, 1)),
    "capabilities": ((40, 0, 0), (40, 14, 41)),
    "seccomp": ((0, 1, 0), (0, 1, 0)),
    "no new privileges": ((0, 1, 0), (0, 1, 0)),
    "hypervisor": ((0, 0, 1), (0, 0, 1)),
    "visible": ((1, 1, 0), (1, 1, 0)),
}
TEXTS = {
    ("process", "namespaces"): "cgroup ipc mnt net pid time user uts",
    ("labrt", "namespaces"): "time",
    ("labrt", "root"): "uid 0 inside, 1000 on the host",
    ("process", "hypervisor"): "none",
    ("labrt", "hypervisor"): "none",
    ("vm", "hypervisor"): "TCGTCGTCGTCG",
}
TITLES = {
    "process": ("process", "plain process"),
    "labrt": ("container", "labrt container"),
    "vm": ("vm", "libvirt VM"),
}


def scorecard(
    row: Callable[..., Observation], **otherwise: tuple[float, float, float]
) -> list[Observation]:
    """Return the rows of process, container and VM.

    Args:
        otherwise: what else is reached by the three, by question; "_" stands for a space.
    """
    other = {name.replace("_", " "): reached for name, reached in otherwise.items()}
    return [
        row(
            float(other.get(question.name, REACHED[question.name][0])[place]),
            experiment="isolation",
            subject=subject,
            phase=question.name,
            metric=question.metric,
            unit="1",
            kind=kind,
            title=title,
            inside=float(REACHED[question.name][1][place]),
            text=TEXTS.get((subject, question.name), ""),
            question=question.text,
            group=question.group,
            workload="isolation",
        )
        for question in QUESTIONS
        for place, (subject, (kind, title)) in enumerate(TITLES.items())
    ]
