"""The result in words and numbers: the same tables for the terminal and for the report.

One table per experiment and per set of rows that may be compared. A cell is a text; what it rests
on (n, failures, interval) stands beside it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from bench import statistics, units
from bench.observations import Observation
from bench.statistics import Slope, Summary

NOTHING = "–"

# Columns that hold words, which may take several lines; all others but the first hold numbers.
WORDS = (
    "subject",
    "from",
    "rule",
    "stopped by",
    "experiment",
    "reason",
    "phase",
    "metric",
    "number",
    "verdict",
)


@dataclass
class Table:
    """A table ready to print.

    Attributes:
        columns: headings; the first column is text, the others are numbers.
        notes: sentences that belong under it (comparisons, warnings, stop rules).
    """

    title: str
    columns: list[str]
    rows: list[list[str]] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


def tables(rows: Sequence[Observation]) -> list[Table]:
    """Return every table that the rows allow, experiments in the order of the lab."""
    names = {row.experiment for row in rows} - {"prepare"}
    order = [name for name in BUILDERS if name in names] + sorted(names - set(BUILDERS))
    found = [
        table
        for name in order
        for table in of_experiment(name, [row for row in rows if row.experiment == name])
    ]
    if failures := statistics.failures(rows):
        found.append(failed(failures))
    return found


def of_experiment(name: str, rows: Sequence[Observation]) -> list[Table]:
    """Return one experiment's tables: one for each set of rows that may be compared."""
    return _of_groups(rows, BUILDERS.get(name, _generic))


def spreads(name: str, rows: Sequence[Observation]) -> list[Table]:
    """Return how an experiment's samples spread, if that is worth a table, as `of_experiment`."""
    phase = SPREADS.get(name)
    return _of_groups(rows, lambda group: spread(group, phase)) if phase else []


def _of_groups(
    rows: Sequence[Observation], build: Callable[[Sequence[Observation]], Table]
) -> list[Table]:
    groups = statistics.fair_groups(rows)
    found = []
    for group in groups:
        table = build(group)
        if len(groups) > 1:
            first = group[0].conditions
            table.title += f" ({first.get('accelerator')}, host {first.get('host')})"
        found.append(table)
    return found


def overview(rows: Sequence[Observation]) -> Table:
    """The whole result at a glance: one line per subject."""
    table = Table(
        "At a glance: ready after, gone after, memory of one more, how many ran at once",
        ["", "ready", "gone", "host memory", "at once", "stopped by", "failed"],
    )
    for subject in statistics.subjects(rows):
        line = memory_slope(rows, subject)
        reached = statistics.select(rows, subject=subject, phase="reached", status="ok")
        table.rows.append(
            [
                statistics.title(rows, subject),
                middle(summary(rows, subject, "T0-T3", "time", "startup")),
                middle(summary(rows, subject, "stop", "time", "stop")),
                slope_text(line),
                f"{reached[0].value:.0f}" if reached else NOTHING,
                str(reached[0].conditions["rule"]) if reached else NOTHING,
                str(sum(row.subject == subject for row in statistics.failures(rows))),
            ]
        )
    doubtful = (("T0-T3", "startup"), ("stop", "stop"))
    if any(doubts(rows, phase, "time", experiment) for phase, experiment in doubtful):
        table.notes.append(
            "Some of these numbers rest on too few or unsteady samples, or on a part that didn't "
            "fail; the notes under their tables say which."
        )
    return table


def startup(rows: Sequence[Observation]) -> Table:
    """Phases and total, medians."""
    table = Table(
        "Start-up: median time",
        ["", "T0→T1", "T1→T2", "T2→T3", "T0→T3", "95 % interval", "n", "failed"],
    )
    for subject in statistics.subjects(rows):
        phases = [
            summary(rows, subject, phase, "time") for phase in ("T0-T1", "T1-T2", "T2-T3", "T0-T3")
        ]
        table.rows.append(
            [
                statistics.title(rows, subject),
                *(middle(phase) for phase in phases),
                interval(phases[-1]),
                *counts(phases[-1]),
            ]
        )
    table.notes = ratios(rows, "T0-T3", "time", "to start") + doubts(rows, "T0-T3", "time")
    if any(middle(summary(rows, s, "T2-T3", "time")) == "0 s" for s in statistics.subjects(rows)):
        table.notes.append("T2→T3 is 0 s where both lines reached the host in one read.")
    return table


def spread(rows: Sequence[Observation], phase: str) -> Table:
    """How the samples of a time spread: what the curves of all samples show, in numbers."""
    table = Table(
        "How the samples spread",
        ["", "least", "25 %", "median", "75 %", "p95", "p99", "most", "n", "failed"],
    )
    for subject in statistics.subjects(rows):
        found = summary(rows, subject, phase, "time")
        values = statistics.ok(statistics.select(rows, subject=subject, phase=phase))
        least, low, middling, high, most = statistics.quartiles(values) or (None,) * 5
        shown = (least, low, middling, high, found.p95, found.p99, most)
        cells = [NOTHING if each is None else units.text(each, "s") for each in shown]
        table.rows.append([statistics.title(rows, subject), *cells, *counts(found)])
    if any(NOTHING in row[5:7] for row in table.rows):
        table.notes.append(
            "A tail percentile is given where n carries it: with 95 % confidence at least one "
            "sample lies above it, which takes 59 samples for p95 and 299 for p99."
        )
    return table


def stop(rows: Sequence[Observation]) -> Table:
    """Time from the polite request until nothing is left."""
    table = Table("Stop: median time", ["", "stop", "95 % interval", "n", "failed"])
    for subject in statistics.subjects(rows):
        found = summary(rows, subject, "stop", "time")
        table.rows.append(
            [statistics.title(rows, subject), middle(found), interval(found), *counts(found)]
        )
    table.notes = ratios(rows, "stop", "time", "to stop") + doubts(rows, "stop", "time")
    return table


def memory(rows: Sequence[Observation]) -> Table:
    """The four numbers."""
    table = Table(
        "Memory of one more idle instance",
        ["", "PSS", "USS", "cgroup", "+ file", "host", "n"],
    )
    for subject in statistics.subjects(rows):
        found = {
            metric: summary(rows, subject, "idle", metric)
            for metric in ("pss", "uss", "cgroup_used", "cgroup_file")
        }
        line = memory_slope(rows, subject)
        table.rows.append(
            [
                statistics.title(rows, subject),
                *(middle(each) for each in found.values()),
                slope_text(line),
                str(found["pss"].n),
            ]
        )
        table.notes += _hypervisor(rows, subject)
    table.notes.append(
        "cgroup: anon + shmem + kernel; + file: page cache charged to it, which the host takes "
        "back when it needs it; host: by how much the host's MemAvailable falls with one more "
        "instance (slope of a regression ± half of its 95 % interval)."
    )
    return table


def density(rows: Sequence[Observation]) -> Table:
    """How many, and which rule said stop."""
    table = Table(
        "Density: instances until a declared rule fired",
        ["", "instances", "rule", "first start", "last start", "memory", "failed"],
    )
    for subject in statistics.subjects(rows):
        mine = [row for row in rows if row.subject == subject]
        reached = statistics.select(mine, phase="reached", status="ok")
        starts = statistics.ok(statistics.select(mine, phase="T0-T3"))
        used = memory_used(mine)
        table.rows.append(
            [
                statistics.title(rows, subject),
                f"{reached[0].value:.0f}" if reached else NOTHING,
                str(reached[0].conditions["rule"]) if reached else NOTHING,
                units.text(starts[0], "s") if starts else NOTHING,
                units.text(starts[-1], "s") if starts else NOTHING,
                units.text(used[-1][1], "B") if used else NOTHING,
                str(len(statistics.failures(mine))),
            ]
        )
        table.notes += [
            f"{statistics.title(rows, subject)}: {row.conditions['rule_text']}." for row in reached
        ]
    return table


def _generic(rows: Sequence[Observation]) -> Table:
    """Any other experiment: one line per subject, phase and metric."""
    columns = ["", "phase", "metric", "median", "95 % interval", "n", "failed"]
    table = Table(rows[0].experiment, columns)
    for subject in statistics.subjects(rows):
        kinds = {(row.phase, row.metric): None for row in rows if row.subject == subject}
        for phase, metric in kinds:
            found = summary(rows, subject, phase, metric)
            title = statistics.title(rows, subject)
            table.rows.append(
                [title, phase, metric, middle(found), interval(found), *counts(found)]
            )
            table.notes += [f"{title}, {phase} {metric}: {each}." for each in found.warnings]
    return table


def failed(rows: Sequence[Observation]) -> Table:
    """What went wrong, how often."""
    table = Table("Failures: counted, never timed", ["", "experiment", "times", "reason"])
    seen = Counter(
        (statistics.title(rows, row.subject), row.experiment, row.reason) for row in rows
    )
    table.rows = [[subject, e, str(times), reason] for (subject, e, reason), times in seen.items()]
    return table


def own_cost(found: Mapping[str, float]) -> Table:
    """What measuring itself costs (`bench.own_cost`), and what it took while this run waited."""
    times = {
        "a mark's way: from written to stamped, median": "arrival",
        "the same, 95th percentile": "arrival_p95",
        "a start that starts nothing, median": "null_start",
        "the clock's smallest step": "clock_step",
        "reading the clock": "clock_read",
        "appending a row": "row",
    }
    table = Table("What measuring itself costs", ["", "value"])
    table.rows = [[name, units.text(found[key], "s")] for name, key in times.items()]
    shares = {f"its CPU while {found['waiting']:.0f} silent outputs are open": "waiting_cpu"}
    if "run_cpu" in found:
        shares["its CPU while this run waited for instances"] = "run_cpu"
    for name, key in shares.items():
        table.rows.append([name, f"{100 * found[key]:.2g} % of one core"])
    table.notes = [
        "No time in this report is known better than a mark's way, and a null start is the floor "
        f"under every start (n = {found['n']:.0f}).",
    ]
    return table


def own_cost_line(found: Mapping[str, float]) -> str:
    """Write the two that matter most in one line."""
    way, cpu = units.text(found["arrival"], "s"), 100 * found.get("run_cpu", found["waiting_cpu"])
    return f"The bench itself: a mark's way {way} (median); CPU while it waited {cpu:.2g} %."


# Experiment → the phase whose samples' spread is worth a table in the report.
SPREADS = {"startup": "T0-T3", "stop": "stop"}

BUILDERS: dict[str, Callable[[Sequence[Observation]], Table]] = {
    "startup": startup,
    "stop": stop,
    "memory": memory,
    "density": density,
}


# ---------------------------------------------------------------------------------------------
# Parts of tables, used by the pictures too


def summary(
    rows: Sequence[Observation], subject: str, phase: str, metric: str, experiment: str = ""
) -> Summary:
    """Summarise one metric of one phase of one subject, of one experiment or of the only one."""
    also = {"experiment": experiment} if experiment else {}
    return statistics.summarise(
        statistics.select(rows, subject=subject, phase=phase, metric=metric, **also)
    )


def memory_slope(rows: Sequence[Observation], subject: str) -> Slope | None:
    """Return by how much the host's MemAvailable *falls* per instance, or None if unknown."""
    found = statistics.slope(
        statistics.select(
            rows, subject=subject, experiment="memory", phase="ramp", metric="mem_available"
        )
    )
    if found is None:
        return None
    return Slope(-found.per_instance, -found.high, -found.low, found.intercept, found.n, found.unit)


def memory_used(rows: Sequence[Observation]) -> list[tuple[int, float]]:
    """Return (instances, bytes by which MemAvailable had fallen), from a ramp of one subject."""
    points = [
        (int(row.conditions["instances"]), row.value)
        for row in statistics.select(rows, phase="ramp", metric="mem_available", status="ok")
        if row.value is not None
    ]
    return [(count, points[0][1] - value) for count, value in points]


def _hypervisor(rows: Sequence[Observation], subject: str) -> list[str]:
    own = summary(rows, subject, "idle", "hypervisor_bytes")
    guest = summary(rows, subject, "idle", "guest_ram_bytes")
    if own.median is None or guest.median is None:
        return []
    return [
        f"{statistics.title(rows, subject)}: the hypervisor's own share is {middle(own)}, guest "
        f"RAM touched so far {middle(guest)}."
    ]


def ratios(rows: Sequence[Observation], phase: str, metric: str, verb: str) -> list[str]:
    """Compare every other subject with the container (or with the first, if there is none)."""
    names = statistics.subjects(rows)
    base = "labrt" if "labrt" in names else names[0]
    of = {name: statistics.select(rows, subject=name, phase=phase, metric=metric) for name in names}
    said = []
    for name in names:
        if name == base or min(len(statistics.ok(of[each])) for each in (name, base)) < 2:
            continue  # the table shows how few there are
        found = statistics.compare(of[name], of[base])
        if found.ratio < 1:
            found = statistics.compare(of[base], of[name])
        a, b = statistics.title(rows, found.a), statistics.title(rows, found.b)
        if not found.different:
            said.append(
                f"No difference was found between the {a} and the {b} (ratio "
                f"{units.digits(found.ratio)}, 95 % interval {units.digits(found.low)} – "
                f"{units.digits(found.high)}, {p_text(found.p)})."
            )
            continue
        said.append(
            f"The {a} takes {units.digits(found.ratio)} times as long {verb} as the {b} (95 % "
            f"interval {units.digits(found.low)} – {units.digits(found.high)}, {p_text(found.p)})."
        )
    return said


def p_text(value: float) -> str:
    return "p < 0.001" if value < 0.001 else f"p = {value:.3f}"


def doubts(rows: Sequence[Observation], phase: str, metric: str, experiment: str = "") -> list[str]:
    """Return the warnings about one metric, by subject; none about what nobody measured."""
    return [
        f"{statistics.title(rows, subject)}: {warning}."
        for subject in statistics.subjects(rows)
        for found in [summary(rows, subject, phase, metric, experiment)]
        if found.n or found.failed
        for warning in found.warnings
    ]


def middle(found: Summary) -> str:
    return NOTHING if found.median is None else units.text(found.median, found.unit)


def slope_text(line: Slope | None) -> str:
    """Write a slope with half of its interval, which is symmetric: "193 ± 17.0 MiB"."""
    if line is None:
        return NOTHING
    return units.plus_minus(line.per_instance, line.high - line.per_instance, line.unit)


def interval(found: Summary) -> str:
    if found.low is None or found.high is None:
        return NOTHING
    return units.span(found.low, found.high, found.unit)


def counts(found: Summary) -> list[str]:
    """Return n and the number of failures."""
    return [str(found.n), str(found.failed)]
