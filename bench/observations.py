"""Observations: one tidy row per sample, appended to a JSON-lines file.

Everything downstream (statistics, pictures, report, notebooks) reads these rows and nothing else.
A row is written whole, in one write(2) to a file opened O_APPEND, so a crash can cut short at most
the last line; the reader keeps every whole row before it and says what it left out.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal

SCHEMA = 1

Status = Literal["ok", "failed"]


@dataclass(frozen=True)
class Observation:
    """One measured value, or one failure to measure it.

    Attributes:
        run: identifies the run (the results folder's name).
        subject: "process", "labrt", "vm", …
        experiment: "startup", "stop", "memory", "density", …
        sample: which repetition, from 0. Rows of one start share subject, experiment and sample.
        phase: part of the experiment ("T0-T1", "T0-T3", "up", "idle").
        metric: what was measured ("time", "pss", "mem_available", "instances").
        unit: "s", "B", "1".
        value: None if and only if status is "failed".
        status, reason: "failed" rows say why; they are counted, never timed.
        conditions: all that must be equal for a fair comparison, and what is good to know:
            digest, cpus, memory, workload, accelerator, order (position in the run), …
        at: Unix time, seconds.
        schema: version of this row's form.
    """

    run: str
    subject: str
    experiment: str
    sample: int
    phase: str
    metric: str
    unit: str
    value: float | None
    status: Status = "ok"
    reason: str = ""
    conditions: dict[str, Any] = field(default_factory=dict)
    at: float = field(default_factory=time.time)
    schema: int = SCHEMA

    def __post_init__(self) -> None:
        if (self.value is None) != (self.status == "failed"):
            raise ValueError("a row has a value, or it failed; never both, never neither")


class Log:
    """An open observations file that only grows."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._fd = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o644)

    def append(self, observation: Observation) -> None:
        """Write one row whole.

        Raises:
            OSError: ENOSPC and its kind; the row may be cut short, the ones before are safe.
        """
        line = json.dumps(asdict(observation), separators=(",", ":")) + "\n"
        data = line.encode()
        written = os.write(self._fd, data)
        if written != len(data):
            raise OSError(28, "row cut short", str(self.path))

    def close(self) -> None:
        os.close(self._fd)

    def __enter__(self) -> Log:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()


@dataclass(frozen=True)
class Damage:
    """A line that is not a whole row of this schema."""

    line: int
    reason: str


def read(path: Path) -> tuple[list[Observation], list[Damage]]:
    """Return every whole row, and what was left out with the reason."""
    rows: list[Observation] = []
    damage: list[Damage] = []
    for number, text in _lines(path):
        try:
            data = json.loads(text)
            if data.get("schema") != SCHEMA:
                raise ValueError(f"schema {data.get('schema')!r}, this lab reads {SCHEMA}")
            rows.append(Observation(**data))
        except (ValueError, TypeError, AttributeError) as error:
            damage.append(Damage(number, str(error)))
    return rows, damage


def _lines(path: Path) -> Iterator[tuple[int, str]]:
    with path.open(encoding="utf-8", errors="replace") as stream:
        yield from enumerate(stream, start=1)
