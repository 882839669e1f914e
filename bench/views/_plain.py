"""Any experiment, shown plainly: one line per subject, phase and metric."""

from __future__ import annotations

from bench import statistics, tables
from bench.tables import Table
from bench.views.base import Rows


def table(rows: Rows) -> Table:
    """Medians with their intervals, and what is doubtful about them."""
    columns = ["", "phase", "metric", "median", "95 % interval", "n", "failed"]
    shown = Table(rows[0].experiment, columns)
    numbers = []
    for subject in statistics.subjects(rows):
        kinds = {(row.phase, row.metric): None for row in rows if row.subject == subject}
        title = statistics.title(rows, subject)
        for phase, metric in kinds:
            found = tables.summary(rows, subject, phase, metric)
            middle, interval = tables.middle(found), tables.interval(found)
            shown.rows.append([title, phase, metric, middle, interval, *tables.counts(found)])
            numbers.append((f"{title}, {phase} {metric}", found))
    shown.notes += tables.told(numbers)
    return shown
