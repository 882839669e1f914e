"""Observations as a pandas table: what notebooks, exports and large files are read by.

pyarrow reads a block of whole rows at a time, in compiled code: a million rows in seconds, where
json.loads alone takes longer. Only a block that isn't faultless is read again row by row, as
`bench.observations` does it, so that each row left out is told with its line and its reason.
"""

from __future__ import annotations

import glob
import io
import warnings
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from bench import observations
from bench.observations import CONDITIONS, NUMBER, ROWS, SCHEMA, Damage
from labrt.errors import LabError

BLOCK = 8 * 2**20  # bytes read at once

# Columns that are there even where no row has the condition.
ALWAYS = {"warmup": False, "instances": None}

TEXTS = ("run", "subject", "experiment", "phase", "metric", "unit", "status", "reason")
NUMBERS = {"sample": "int64", "value": "float64", "at": "float64", "schema": "int64"}

Frame = Any  # of pandas, which publishes no types


@dataclass(frozen=True)
class Source:
    """A results file as it was read: its rows, and what was left out."""

    file: Path
    frame: Frame
    damage: list[Damage]

    def told(self) -> list[str]:
        """Say what was left out."""
        return observations.told(self.file, self.damage, len(self.frame))


def load(path: str | Path | Iterable[str | Path]) -> Frame:
    """Return the rows of one or more runs; a warning tells of what is left out.

    Args:
        path: a run's folder, its observations.jsonl, a pattern such as "results/2026-*", or several
            of these. A run that is meant twice is read once.

    Raises:
        LabError: there is no such run.
    """
    found, left_out = gather(path)
    for said in left_out:
        warnings.warn(said, stacklevel=3)
    return found


def gather(path: str | Path | Iterable[str | Path]) -> tuple[Frame, list[str]]:
    """Return the rows as `load` does, and what to say of those that are left out.

    Raises:
        LabError: as `load`.
    """
    import pandas

    sources = [read(file) for file in files(path)]
    frames = [source.frame for source in sources if len(source.frame)]
    whole = pandas.concat(frames, ignore_index=True) if frames else _empty()
    for name, missing in ALWAYS.items():
        if name not in whole:
            whole[name] = missing
    whole["warmup"] = whole["warmup"].eq(True)
    return whole, [said for source in sources for said in source.told()]


def files(path: str | Path | Iterable[str | Path]) -> list[Path]:
    """Return the results files that are meant, each once (`results/latest` is a link).

    Raises:
        LabError: none is meant.
    """
    named = [path] if isinstance(path, str | Path) else list(path)
    found = [each for name in named for each in _matches(str(name))]
    if not found:
        raise LabError(
            f"load {', '.join(map(str, named)) or 'nothing'}",
            "there is no run",
            remedy="name a folder of results/",
        )
    return list({file.resolve(): file for file in found}.values())


def _matches(name: str) -> list[Path]:
    """Return the results files that a name, or a pattern, stands for."""
    if Path(name).exists() or not glob.has_magic(name):
        return [_rows_of(Path(name))]
    found = [_rows_of(Path(each)) for each in sorted(glob.glob(name))]
    return [file for file in found if file.suffix == ".jsonl" and file.exists()]


def _rows_of(path: Path) -> Path:
    return path / ROWS if path.is_dir() else path


def read(file: Path) -> Source:
    """Read one results file.

    Raises:
        LabError: it can't be read at all.
    """
    import pandas

    frames: list[Frame] = []
    damage: list[Damage] = []
    for first, count, block in _blocks(file):
        frame = _at_once(block, count)
        if frame is None:
            frame, bad = _row_by_row(block, first)
            damage += bad
        frames.append(frame)
    whole = pandas.concat(frames, ignore_index=True) if frames else _empty()
    return Source(file, _without_superseded(whole), damage)


def _blocks(file: Path) -> Iterator[tuple[int, int, bytes]]:
    """Yield (number of its first line, how many, whole lines); one without an end comes last."""
    number, rest = 1, b""
    try:
        with file.open("rb") as stream:
            while data := stream.read(BLOCK):
                lines, newline, rest = (rest + data).rpartition(b"\n")
                if newline:
                    count = lines.count(b"\n") + 1
                    yield number, count, lines + newline
                    number += count
    except OSError as error:
        raise observations.unreadable(file, error) from error
    if rest:
        yield number, 0, rest


def _at_once(block: bytes, count: int) -> Frame | None:
    """Return a block's rows, or None unless every line is a faultless row of this version."""
    import pyarrow
    from pyarrow import json

    kinds = [(name, pyarrow.string()) for name in TEXTS]
    kinds += [(name, pyarrow.type_for_alias(kind)) for name, kind in NUMBERS.items()]
    try:
        table = json.read_json(
            io.BytesIO(block),
            json.ReadOptions(block_size=len(block) + 1),
            json.ParseOptions(explicit_schema=pyarrow.schema(kinds)),
        )
    except pyarrow.ArrowException:
        return None
    if not _faultless(table, count):
        return None
    conditions = table.column("conditions").combine_chunks()
    columns = dict(zip((each.name for each in conditions.type), conditions.flatten(), strict=True))
    columns |= {name: table.column(name) for name, _ in kinds}
    return pyarrow.table(columns).to_pandas()


def _faultless(table: Any, count: int) -> bool:
    """True if each of `count` lines is a row as `observations` would accept it."""
    import numpy as np
    import pyarrow

    if table.num_rows != count or set(table.column_names) != {*TEXTS, *NUMBERS, "conditions"}:
        return False
    kind = table.schema.field("conditions").type
    filled = [name for name in table.column_names if name != "value"]
    if not pyarrow.types.is_struct(kind) or any(table.column(n).null_count for n in filled):
        return False
    if not all(_may_hold(each.type, CONDITIONS.get(each.name)) for each in kind):
        return False
    status = table.column("status").to_pandas()
    measured = np.isfinite(table.column("value").to_numpy())  # NaN where there is none
    current = (table.column("schema").to_numpy() == SCHEMA).all()
    return bool(current and (status == np.where(measured, "ok", "failed")).all())


def _may_hold(column: Any, kind: Any) -> bool:
    """True if a column of conditions holds what `observations` accepts, or nothing."""
    from pyarrow import types

    told = {
        None: lambda column: True,
        str: types.is_string,
        bool: types.is_boolean,
        int: types.is_integer,
        NUMBER: lambda column: types.is_integer(column) or types.is_floating(column),
    }
    return bool(types.is_null(column) or told[kind](column))


def _row_by_row(block: bytes, first: int) -> tuple[Frame, list[Damage]]:
    """Return a block's good rows, and the others with line and reason."""
    import pandas

    lines = io.StringIO(block.decode(errors="replace"), newline="\n")
    rows, damage = observations.parse_lines(lines, first)
    records = [asdict(row) for row in rows]
    frame = pandas.DataFrame([{**each.pop("conditions"), **each} for each in records])
    return (frame if records else _empty()), damage


def _without_superseded(frame: Frame) -> Frame:
    """Leave out what a resumed run has done again (`observations.TRIAL`)."""
    if "attempt" not in frame:
        return frame
    attempt = frame["attempt"].fillna(0)
    latest = attempt.groupby([frame[key] for key in observations.TRIAL], dropna=False)
    return frame[attempt == latest.transform("max")].reset_index(drop=True)


def _empty() -> Frame:
    import pandas

    return pandas.DataFrame({name: [] for name in (*TEXTS, *NUMBERS)})
