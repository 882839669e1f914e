"""The benchmark: subject × experiment → observations. See docs/architecture.md.

    import bench
    frame = bench.load("results/latest")

Heavy libraries are imported where they are used, so that the command line starts fast.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any


def load(path: str | Path) -> Any:
    """Return a run's observations as a pandas.DataFrame, one row per sample, failures included.

    Each condition (digest, cpus, accelerator, …) is a column of its own; `warmup` and `instances`
    are there even where no row has them. Lines that a crash cut short are left out with a warning.

    Args:
        path: a run's folder, or its observations.jsonl.

    Raises:
        labrt.errors.LabError: there is no such file.
    """
    import warnings
    from dataclasses import asdict

    import pandas

    from bench.observations import read

    file = Path(path)
    if file.is_dir():
        file = file / "observations.jsonl"
    rows, damage = read(file)
    for each in damage:
        warnings.warn(f"{file}, line {each.line} left out: {each.reason}", stacklevel=2)
    records = []
    for row in rows:
        record = asdict(row)
        always = {"warmup": False, "instances": None}
        records.append({**always, **record.pop("conditions"), **record})
    return pandas.DataFrame(records)
