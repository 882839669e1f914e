"""The benchmark: subject × experiment → observations. See docs/architecture.md.

    import bench
    frame = bench.load("results/latest")
    bench.summarise(frame)

Heavy libraries are imported where they are used, so that the command line starts fast.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any


def load(path: str | Path | Iterable[str | Path]) -> Any:
    """Return the observations of one or more runs as a pandas.DataFrame, failures included.

    Each condition (digest, cpus, accelerator, …) is a column of its own; `warmup` and `instances`
    are there even where no row has them. Rows that can't be used (cut short, damaged, of another
    version) are left out, each with a warning that says which and why.

    Args:
        path: a run's folder, its observations.jsonl, a pattern such as "results/2026-*", or several
            of these.

    Raises:
        labrt.errors.LabError: there is no such run.
    """
    from bench import frame

    return frame.load(path)


def summarise(loaded: Any) -> Any:
    """Return one row for each number of a frame that `load` has returned: n, failed, median and its
    95 % interval, p95 and p99 where n carries them. Warm-ups are left out; only what may be
    compared is taken together.
    """
    from bench import frame_summary

    return frame_summary.summarise(loaded)
