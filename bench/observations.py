"""Observations: one tidy row per sample, appended to a JSON-lines file.

Everything downstream (statistics, pictures, report, notebooks) reads these rows and nothing else.
A row is written whole, in one write(2) to a file opened O_APPEND, so a crash can cut short at most
the last line; the reader keeps every whole row before it and says what it left out. A file cut
short may be appended to: the next row begins on a line of its own.
"""

from __future__ import annotations

import errno
import fcntl
import json
import math
import os
import time
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from sys import intern
from types import UnionType
from typing import Any, Literal

from labrt.errors import LabError, errno_text

ROWS = "observations.jsonl"  # the file's name in a run's folder
SCHEMA = 1

# What names one trial of a run. A run that is resumed does an unfinished trial again, as the next
# attempt (condition "attempt"); the rows of its earlier attempts stay in the file and are not read.
TRIAL = ("run", "subject", "experiment", "order")

NUMBER = int | float

# What a row's fields are, and its conditions that rows are told apart or reckoned by, where it has
# them.
Kind = type | UnionType
ROW: dict[str, Kind] = {
    **dict.fromkeys(("run", "subject", "experiment", "phase", "metric", "unit"), str),
    **dict.fromkeys(("status", "reason"), str),
    **{"sample": int, "value": NUMBER | None, "at": NUMBER, "schema": int},
}
CONDITIONS: dict[str, Kind] = {
    **dict.fromkeys(("kind", "title", "image", "digest", "workload", "accelerator", "host"), str),
    **dict.fromkeys(("machine", "posture", "caches"), str),
    **dict.fromkeys(("order", "attempt", "instances", "parallel"), int),
    **dict.fromkeys(("cpus", "memory", "io", "scratch"), NUMBER),
    "warmup": bool,
}

TOLD_EACH = 3  # lines left out of one file that are told one by one

Status = Literal["ok", "failed"]


class Unwritable(LabError):
    """The observations can't be kept (full disk, read-only folder): the run must end."""


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
            digest, cpus, memory, workload, accelerator, host, machine, order (position in the
            run), seed, warmup, …
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
        if self.value is not None and not math.isfinite(self.value):
            raise ValueError(f"{self.value} is not a measured value")

    @property
    def warmup(self) -> bool:
        """True for the declared warm-up: kept in the file, left out of every statistic."""
        return bool(self.conditions.get("warmup", False))

    @property
    def attempt(self) -> int:
        """How often this row's trial had been begun and not finished before."""
        return int(self.conditions.get("attempt") or 0)

    @property
    def trial(self) -> tuple[Any, ...]:
        """What names this row's trial."""
        return self.run, self.subject, self.experiment, self.conditions.get("order")


class Log:
    """An open observations file that only grows.

    Raises:
        Unwritable: the file can't be opened or (`append`) written.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        try:
            self._fd = os.open(path, os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o644)
        except OSError as error:
            raise _unwritable(path, error) from error
        self._lock()
        self._torn = _ends_torn(self._fd)

    def _lock(self) -> None:
        """Nobody else may add to these rows as long as this process lives (flock(2))."""
        try:
            fcntl.flock(self._fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            self.close()
            raise Unwritable(
                f"write {self.path}", "another process is writing it", remedy="wait for its end"
            ) from error
        except OSError:
            pass  # a file system without locks, such as a folder shared with a VM

    def append(self, observation: Observation) -> None:
        """Write one row whole; after a row that was cut short, on a new line.

        Raises:
            Unwritable: ENOSPC and its kind. The row may be cut short, the ones before are safe.
        """
        line = json.dumps(asdict(observation), separators=(",", ":"), allow_nan=False) + "\n"
        data = (("\n" if self._torn else "") + line).encode()
        try:
            written = os.write(self._fd, data)
            if written != len(data):
                self._torn = True
                # write(2): fewer bytes than asked for means that the room ran out half-way.
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        except OSError as error:
            raise _unwritable(self.path, error) from error
        self._torn = False

    def close(self) -> None:
        """Close the file. Idempotent."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1

    def __enter__(self) -> Log:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()


def _ends_torn(fd: int) -> bool:
    """True if the file's last row has no end of line: a crash cut it short."""
    size = os.fstat(fd).st_size
    return size > 0 and os.pread(fd, 1, size - 1) != b"\n"


def _unwritable(path: Path, error: OSError) -> Unwritable:
    full = error.errno in (errno.ENOSPC, errno.EDQUOT)
    return Unwritable(
        f"write {path}",
        errno_text(error),
        "the disk is full" if full else "",
        "free some room and go on with --resume, or name a folder elsewhere with --out",
    )


@dataclass(frozen=True)
class Damage:
    """A line that is not a whole row of this schema."""

    line: int
    reason: str


def told(file: Path, damage: Sequence[Damage], kept: int) -> list[str]:
    """Say what was left out of a file: the first few lines one by one, then how many more.

    Args:
        kept: how many rows were not.
    """
    said = [f"{file}, line {each.line} left out: {each.reason}" for each in damage[:TOLD_EACH]]
    if (more := len(damage) - TOLD_EACH) > 0:
        said.append(f"{file}: {more} more lines left out, {kept} rows kept")
    return said


def read(path: Path) -> tuple[list[Observation], list[Damage]]:
    """Return every whole row, and what was left out with the reason. Of a trial that a resumed run
    has done again, only the last attempt is returned.

    Raises:
        LabError: the file can't be read at all.
    """
    rows, damage = read_all(path)
    return without_superseded(rows), damage


def read_all(path: Path) -> tuple[list[Observation], list[Damage]]:
    """Return what `read` does, with the rows of every attempt.

    Raises:
        LabError: the file can't be read at all.
    """
    try:
        with path.open(encoding="utf-8", errors="replace", newline="\n") as stream:
            return parse_lines(stream)
    except OSError as error:
        raise unreadable(path, error) from error


def parse_lines(lines: Iterable[str], first: int = 1) -> tuple[list[Observation], list[Damage]]:
    """Return the rows that lines hold, and the lines that hold none; `first` numbers the first."""
    rows: list[Observation] = []
    damage: list[Damage] = []
    for number, text in enumerate(lines, start=first):
        try:
            rows.append(_parse(text))
        except (ValueError, TypeError) as error:
            damage.append(Damage(number, str(error)))
    return rows, damage


def without_superseded(rows: list[Observation]) -> list[Observation]:
    """Leave out the rows of trials that were done again."""
    latest: dict[tuple[Any, ...], int] = {}
    for row in rows:
        latest[row.trial] = max(row.attempt, latest.get(row.trial, 0))
    return [row for row in rows if row.attempt == latest[row.trial]]


def unreadable(path: Path, error: OSError) -> LabError:
    """Return what to raise for a results file that can't be read."""
    return LabError(
        f"read {path}", errno_text(error), "", "name a folder that ./lab bench has written"
    )


def _parse(text: str) -> Observation:
    """Return the row that a line holds.

    Raises:
        ValueError, TypeError: it holds none.
    """
    if not text.endswith("\n"):
        raise ValueError("cut short: no end of line")
    data = _DECODER.decode(text)
    if not isinstance(data, dict):
        raise ValueError("not a JSON object")
    if data.get("schema") != SCHEMA:
        raise ValueError(f"schema {data.get('schema')!r}, this lab reads {SCHEMA}")
    if not isinstance(data.get("conditions"), dict):
        raise ValueError("conditions is not a JSON object")
    for key, kind in ROW.items():
        _check(key, data.get(key), kind)
    for key, kind in CONDITIONS.items():
        if (value := data["conditions"].get(key)) is not None:
            _check(key, value, kind)
    return Observation(**data)


def _check(name: str, value: Any, kind: Kind) -> None:
    """Let a value pass that is of its kind; in Python true and false are whole numbers, too.

    Raises:
        ValueError: it isn't.
    """
    if not isinstance(value, kind) or isinstance(value, bool) != (kind is bool):
        raise ValueError(f"{name} is {value!r}, not {_WORDS[kind]}")


def _shared(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Rows have the same keys and nearly the same texts: each is kept once, which is two thirds of
    what they would take."""
    return {intern(key): intern(v) if isinstance(v, str) else v for key, v in pairs}


_DECODER = json.JSONDecoder(object_pairs_hook=_shared)
_WORDS: dict[Kind, str] = {
    **{str: "a text", int: "a whole number", bool: "true or false"},
    **{NUMBER: "a number", NUMBER | None: "a number"},
}
