"""The result in words and numbers: the same tables for the terminal and for the report.

One table per experiment and per set of rows that may be compared. A cell is a text; what it rests
on (n, failures, interval) stands beside it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from bench import one_curve, statistics, units
from bench.observations import Observation
from bench.statistics import Comparison, Difference, Slope, Summary

NOTHING = "–"

# The columns of the overview, and what each tells.
GLANCE = {
    "ready": "ready after",
    "gone": "gone after",
    "host memory": "memory of one more",
    "at once": "how many ran at once",
}

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
    "claim",
)

AT_A_GLANCE = ("startup", "stop", "memory", "density")  # experiments


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


def overviews(rows: Sequence[Observation]) -> list[Table]:
    """Return the result at a glance: one table for each set of rows that may be compared. Of a
    fleet, what each of several alike hosts took alone isn't in it."""
    told = [row for row in rows if row.experiment in AT_A_GLANCE]
    alone = [row for row in told if "place" not in row.conditions]
    mine = statistics.series([*alone, *one_curve.of_fleets(told)])
    groups = statistics.fair_groups(mine)
    found = []
    for group in groups:
        table = overview(group)
        if under := statistics.under(group, groups):
            table.title += f" ({under})"
        found.append(table)
    return found


def overview(rows: Sequence[Observation]) -> Table:
    """One line per subject; a column for what was measured of any."""
    table = Table("", ["", *GLANCE, "stopped by", "failed"])
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
    _leave_out_empty(table)
    table.title = f"At a glance: {', '.join(GLANCE[c] for c in table.columns if c in GLANCE)}"
    return table


def _leave_out_empty(table: Table) -> None:
    """Leave out the columns in which no row has anything."""
    columns = [column for column in zip(table.columns, *table.rows, strict=True)]
    told = [column for column in columns if set(column[1:]) != {NOTHING}]
    table.columns, *table.rows = (list(each) for each in zip(*told, strict=True))


def failed(rows: Sequence[Observation]) -> Table:
    """What went wrong, how often."""
    table = Table("Failures: counted, never timed", ["", "experiment", "times", "reason"])
    seen = Counter(
        (row.conditions.get("title", row.subject), row.experiment, row.reason)
        for row in statistics.series(rows)
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
    if "run_memory" in found:
        table.rows.append(["its memory while this run measured, at most", _own_memory(found)])
    table.notes = [
        "No time in this report is known better than a mark's way, and a null start is the floor "
        f"under every start (n = {found['n']:.0f}).",
        "A subject's control plane (libvirt, labrt's launcher, an engine) is in its start, as the "
        "phase T0→T1; what libvirt takes of that: python -m bench.control_plane.",
    ]
    return table


def own_cost_line(found: Mapping[str, float]) -> str:
    """Write those that matter most in one line."""
    way, cpu = units.text(found["arrival"], "s"), 100 * found.get("run_cpu", found["waiting_cpu"])
    said = f"The bench itself: a mark's way {way} (median); CPU while it waited {cpu:.2g} %"
    return said + (f"; memory at most {_own_memory(found)}." if "run_memory" in found else ".")


def _own_memory(found: Mapping[str, float]) -> str:
    return units.text(found["run_memory"], "B")


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


def memory_slope(
    rows: Sequence[Observation], subject: str, experiment: str = "memory"
) -> Slope | None:
    """Return by how much the host's MemAvailable *falls* per instance, or None if unknown."""
    found = statistics.slope(
        statistics.select(
            rows, subject=subject, experiment=experiment, phase="ramp", metric="mem_available"
        )
    )
    if found is None:
        return None
    return replace(found, per_instance=-found.per_instance, low=-found.high, high=-found.low)


def slope_notes(rows: Sequence[Observation], subject: str, experiment: str) -> list[str]:
    """Say so if the host's memory grew while instances were added, or its readings drifted."""
    line = memory_slope(rows, subject, experiment)
    if line is None:
        return []
    title = statistics.title(rows, subject)
    if line.high < 0:
        return [
            f"{title}: MemAvailable rose while instances were added, so the host took back what "
            "others had used: what one more takes is hidden by that."
        ]
    if line.drifts:
        return [
            f"{title}: the host's memory drifts besides (each reading is off as the one before: "
            f"correlation {line.drift:.2f}), so the true interval is wider."
        ]
    return []


def memory_used(rows: Sequence[Observation]) -> list[tuple[int, float]]:
    """Return (instances, bytes by which MemAvailable had fallen), from a ramp of one subject."""
    points = [
        (int(row.conditions["instances"]), row.value)
        for row in statistics.select(rows, phase="ramp", metric="mem_available", status="ok")
        if row.value is not None
    ]
    return [(count, points[0][1] - value) for count, value in points]


def ratios(rows: Sequence[Observation], phase: str, metric: str, verb: str) -> list[str]:
    """Compare every other subject with the container (or with the first, if there is none) under
    the same conditions; and every subject with itself under the first of them."""
    names = statistics.subjects(rows)
    of = {name: statistics.select(rows, subject=name, phase=phase, metric=metric) for name in names}
    said = []
    for name, base in _pairs(names):
        if min(len(statistics.ok(of[each])) for each in (name, base)) < 2:
            continue  # the table shows how few there are
        found = statistics.compare(of[name], of[base])
        if found.ratio < 1:
            found = statistics.compare(of[base], of[name])
        a, b = (statistics.title(rows, each) for each in (found.a, found.b))
        said.append(_ratio(found, a, b, verb))
    return said


def _ratio(found: Comparison, a: str, b: str, verb: str) -> str:
    ratio, low, high = map(units.digits, (found.ratio, found.low, found.high))
    told = f"95 % interval {low} – {high}, {p_text(found.p)}"
    if found.different:
        return f"The {a} takes {ratio} times as long {verb} as the {b} ({told})."
    if found.few:
        n = min(found.n_a, found.n_b)
        return (
            f"{n} samples are too few to tell the {a} from the {b} "
            f"(ratio of the medians {ratio}, {p_text(found.p)})."
        )
    return f"No difference was found between the {a} and the {b} (ratio {ratio}, {told})."


def _pairs(names: Sequence[str]) -> list[tuple[str, str]]:
    """Return who is compared with whom."""
    found = []
    for name in names:
        like = [each for each in names if statistics.alike(each, "") == statistics.alike(name, "")]
        base = statistics.alike(name, "labrt")
        mine = [each for each in names if each.split(" (")[0] == name.split(" (")[0]]
        found += [(name, base if base in names else like[0]), (name, mine[0])]
    return [(name, base) for name, base in found if name != base]


def p_text(value: float) -> str:
    return "p < 0.001" if value < 0.001 else f"p = {value:.3f}"


def doubts(rows: Sequence[Observation], phase: str, metric: str, experiment: str = "") -> list[str]:
    """Return the warnings about one metric, by subject; none about what nobody measured."""
    names = statistics.subjects(rows)
    found = {name: summary(rows, name, phase, metric, experiment) for name in names}
    measured = {name: each for name, each in found.items() if each.n or each.failed}
    return told([(statistics.title(rows, name), each) for name, each in measured.items()])


def told(numbers: Sequence[tuple[str, Summary]]) -> list[str]:
    """Write the warnings about numbers, each of which has a name; one that several have in common
    stands there once."""
    about: dict[str, list[str]] = {}
    for name, found in numbers:
        for warning in found.warnings:
            about.setdefault(warning, []).append(name)
    return [
        f"{'All' if 2 < len(names) == len(numbers) else '; '.join(names)}: {warning}."
        for warning, names in about.items()
    ]


def middle(found: Summary) -> str:
    return NOTHING if found.median is None else units.text(found.median, found.unit)


def slope_text(line: Slope | None) -> str:
    """Write a slope with half of its interval, which is symmetric: "193 ± 17.0 MiB".

    None takes less than nothing: where it comes out so, the host got memory back meanwhile that
    something else had used, and that hides what was asked for.
    """
    if line is None:
        return NOTHING
    if line.high < 0:
        return "hidden"
    return units.plus_minus(line.per_instance, line.high - line.per_instance, line.unit)


def interval(found: Summary | Difference) -> str:
    """Write the 95 % interval; in brackets where there are too few samples for one."""
    if found.low is None or found.high is None:
        return NOTHING
    text = units.span(found.low, found.high, found.unit)
    return text if found.n >= statistics.ENOUGH else f"({text})"


def counts(found: Summary) -> list[str]:
    """Return n and the number of failures."""
    return [str(found.n), str(found.failed)]
