"""Each number of a frame in one line: n, failures, median with its interval, tails, doubts."""

from __future__ import annotations

from typing import Any

from bench import statistics

# What samples of one number have in common.
NAMED = ("run", "subject", "experiment", "phase", "metric", "unit")
ONE_NUMBER = (*NAMED, *statistics.CROSSED, *statistics.FAIR)


def summarise(frame: Any) -> Any:
    """Return one row for each number of a frame of `bench.load`; see `bench.summarise`."""
    import pandas

    keys = [key for key in ONE_NUMBER if key in frame]
    counted = frame[~frame["warmup"]]
    rows = []
    for values_of_keys, group in counted.groupby(keys, sort=False, dropna=False):
        named = dict(zip(keys, values_of_keys, strict=True))
        values = group["value"].dropna().to_numpy()
        found = statistics.summary_of(values, int(group["value"].isna().sum()), named["unit"])
        rows.append(named | _told(found))
    return pandas.DataFrame(rows)


def _told(found: statistics.Summary) -> dict[str, Any]:
    names = ("n", "failed", "median", "low", "high", "p95", "p99")
    told = {name: getattr(found, name) for name in names}
    return told | {"warnings": "; ".join(found.warnings)}
