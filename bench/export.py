"""A table of observations as a file for other programs: CSV (RFC 4180) or Apache Parquet."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

from labrt.errors import LabError, errno_text


def csv(frame: Any, file: Path) -> None:
    """Write a frame as CSV, replacing the file as a whole.

    Raises:
        LabError: it can't be written; nothing half-written is left.
    """
    _whole(file, lambda aside: frame.to_csv(aside, index=False))


def parquet(frame: Any, file: Path) -> None:
    """Write a frame as Parquet, replacing the file as a whole. A column that holds numbers here and
    texts there, or lists, becomes one of texts (JSON): a column of Parquet has one simple type.

    Raises:
        LabError: it can't be written; nothing half-written is left.
    """
    _whole(file, lambda aside: _one_type_each(frame).to_parquet(aside, index=False))


def _one_type_each(frame: Any) -> Any:
    mixed = [name for name in frame if frame[name].dtype == object and not _simple(frame[name])]
    return frame.assign(**{name: frame[name].map(_as_json, na_action="ignore") for name in mixed})


def _simple(column: Any) -> bool:
    """True if a column's values are all of one type, which isn't made of others."""
    types = set(column.dropna().map(type))
    return len(types) < 2 and types <= {str, int, float, bool}


def _as_json(value: Any) -> str:
    return json.dumps(value, default=lambda array: array.tolist())  # numpy's, of a list


def _whole(file: Path, write: Callable[[Path], None]) -> None:
    aside = file.with_name(f".{file.name}-{os.getpid()}")
    try:
        write(aside)
        aside.replace(file)
    except OSError as error:
        remedy = "free some room, or name another file"
        raise LabError(f"write {file}", errno_text(error), remedy=remedy) from error
    finally:
        aside.unlink(missing_ok=True)
