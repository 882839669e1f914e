"""How each experiment's rows are shown: a file here bears the experiment's name and holds its VIEW.

An experiment without one is shown as a plain table. To add a view, write a file.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping
from pathlib import Path

from bench import one_curve, plots, statistics, tables
from bench.observations import Observation
from bench.registry import names_in
from bench.tables import Table
from bench.views import _plain
from bench.views.base import Picture, Rows, View

# In which they are told; others after them.
ORDER = (
    "startup",
    "stop",
    "memory",
    "density",
    "scale-out",
    "image",
    "cpu",
    "bandwidth",
    "latency",
    "disk",
    "network",
    "ladder",
    "limits",
    "isolation",
)


def find(experiment: str) -> View:
    """Return an experiment's view."""
    if experiment not in names_in(__name__):
        return View(_plain.table)
    module = importlib.import_module(f"{__name__}.{experiment.replace('-', '_')}")
    assert isinstance(module.VIEW, View)
    return module.VIEW


def experiments(rows: Rows) -> list[str]:
    """Return the experiments that have rows, in the order in which they are told."""
    seen = {row.experiment for row in rows} - {"prepare"}
    return [name for name in ORDER if name in seen] + sorted(seen.difference(ORDER))


def all_tables(rows: Rows) -> list[Table]:
    """Return every table that the rows allow, the failures last."""
    found = [table for name in experiments(rows) for table in of_experiment(name, rows)]
    if failures := statistics.failures(rows):
        found.append(tables.failed(failures))
    return found


def of_experiment(name: str, rows: Rows) -> list[Table]:
    """Return one experiment's tables: one for each set of rows that may be compared."""
    return _of_groups(_of(name, rows), find(name).table)


def spreads(name: str, rows: Rows) -> list[Table]:
    """Return how an experiment's samples spread, if that is worth a table, as `of_experiment`."""
    spread = find(name).spread
    return _of_groups(_of(name, rows), spread) if spread else []


def sources(name: str) -> list[Table]:
    """Return what others have published about an experiment's question."""
    found = find(name).sources
    return [found()] if found else []


def _of(name: str, rows: Rows) -> Rows:
    """Return an experiment's rows, a fleet's one curve before those of its hosts."""
    mine = [row for row in rows if row.experiment == name]
    return statistics.series([*one_curve.of_fleets(mine), *mine])


def _drawn(rows: Rows, picture: Picture) -> list[list[Observation]]:
    """Return what gets a panel: where there is a fleet's curve, that one."""
    groups = [group for group in statistics.fair_groups(rows) if picture.drawable(group)]
    return [group for group in groups if one_curve.is_fleet(group)] or groups


def _of_groups(rows: Rows, build: Callable[[Rows], Table]) -> list[Table]:
    groups = statistics.fair_groups(rows)
    found = []
    for group in groups:
        table = build(group)
        if under := statistics.under(group, groups):
            table.title += f" ({under})"
        table.notes += one_curve.notes(group)
        found.append(table)
    return found


def draw_all(
    rows: Rows, host: str, folder: Path, of_each: Mapping[str, str] | None = None
) -> dict[str, Path]:
    """Draw every picture that the rows allow; return name → file.

    Args:
        host: one line about the machine, for the foot of each picture.
        folder: where the files go.
        of_each: the same of each host, by its id, where there are several.
    """
    drawn = {}
    for experiment in experiments(rows):
        mine = _of(experiment, rows)
        for name, picture in find(experiment).pictures.items():
            if groups := _drawn(mine, picture):
                drawn[name] = folder / f"{name}.png"
                hosts = [
                    (of_each or {}).get(str(group[0].conditions.get("host")), host)
                    for group in groups
                ]
                plots.draw(groups, hosts, drawn[name], picture.draw, picture.height)
    return drawn


def pictures(experiment: str) -> dict[str, Picture]:
    """Return an experiment's pictures by name, drawn or not."""
    return dict(find(experiment).pictures)
