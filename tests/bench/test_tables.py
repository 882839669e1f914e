"""bench/tables.py: what stands in a table is what the rows say, with n and failures beside it."""

from __future__ import annotations

from collections.abc import Callable

from bench import statistics, tables, views
from bench.observations import Observation
from bench.views import _samples, density, memory, startup

Row = Callable[..., Observation]
VM = {"subject": "vm", "kind": "vm", "title": "libvirt VM"}


def starts(row: Row, total: float, **given: object) -> list[Observation]:
    """Seven starts whose phases take a tenth, four tenths and half of `total`."""
    parts = {"T0-T1": 0.1, "T1-T2": 0.4, "T2-T3": 0.5, "T0-T3": 1.0}
    return [
        row(total * part, phase=phase, sample=sample, **given)
        for phase, part in parts.items()
        for sample in range(7)
    ]


def test_a_line_has_the_phases_the_total_n_and_failures(row: Row) -> None:
    rows = [*starts(row, 0.005), *starts(row, 2.0, **VM), row(None, sample=7, **VM)]
    table = startup.table(rows)
    assert table.rows[0] == [
        "labrt container", "500 µs", "2 ms", "2.50 ms", "5 ms", "5 – 5 ms", "7", "0"
    ]  # fmt: skip
    assert table.rows[1][-2:] == ["7", "1"]
    assert table.rows[1][4] == "2 s"


def test_the_vm_is_compared_with_the_container(row: Row) -> None:
    notes = startup.table([*starts(row, 0.005), *starts(row, 2.0, **VM)]).notes
    assert "The libvirt VM takes 400 times as long to start as the labrt container" in notes[0]


def test_the_larger_is_named_first(row: Row) -> None:
    quick = {"subject": "process", "kind": "process", "title": "plain process"}
    notes = startup.table([*starts(row, 0.005), *starts(row, 0.001, **quick)]).notes
    assert "The labrt container takes 5 times as long to start as the plain process" in notes[0]


def test_tcg_and_kvm_stand_in_two_tables_that_say_which(row: Row) -> None:
    rows = [*starts(row, 2.0, **VM), *starts(row, 0.2, accelerator="kvm", **VM)]
    found = views.all_tables(rows)
    assert [table.rows[0][4] for table in found] == ["2 s", "200 ms"]
    assert ["tcg" in found[0].title, "kvm" in found[1].title] == [True, True]


def test_what_fails_stands_in_a_table_of_its_own(row: Row) -> None:
    rows = [row(0.1), row(None, reason="hung"), row(None, reason="hung"), row(None, reason="died")]
    table = views.all_tables(rows)[-1]
    assert table.rows == [
        ["labrt container", "startup", "2", "hung"],
        ["labrt container", "startup", "1", "died"],
    ]


def test_an_experiment_the_tables_do_not_know_is_shown_all_the_same(row: Row) -> None:
    rows = [row(float(n), experiment="tape", phase="write", metric="rate") for n in range(1, 8)]
    (table,) = views.all_tables(rows)
    assert table.title == "tape"
    assert table.rows[0][:4] == ["labrt container", "write", "rate", "4 s"]


def memory_rows(row: Row, each: int) -> list[Observation]:
    ramp = [
        row(
            10e9 - each * n,
            experiment="memory",
            phase="ramp",
            metric="mem_available",
            unit="B",
            sample=n,
            instances=n,
        )
        for n in range(5)
    ]
    sizes = {"pss": 3, "uss": 2, "cgroup_used": 1, "cgroup_file": 0}
    return ramp + [
        row(size * 2**20, experiment="memory", phase="idle", metric=metric, unit="B", sample=n)
        for metric, size in sizes.items()
        for n in range(4)
    ]


def test_memory_is_four_numbers_and_its_slope_is_what_one_more_takes(row: Row) -> None:
    (line,) = memory.table(memory_rows(row, 4 * 2**20)).rows
    assert line[1:5] == ["3 MiB", "2 MiB", "1 MiB", "0 B"]
    assert line[5].startswith("4 ± 0")
    assert line[6] == "4"


def test_a_slope_below_nothing_is_no_memory_of_an_instance(row: Row) -> None:
    table = memory.table(memory_rows(row, -4 * 2**20))
    assert table.rows[0][5] == "hidden"
    assert any("MemAvailable rose while instances were added" in note for note in table.notes)


def test_density_says_which_rule_stopped_it(row: Row) -> None:
    ramp = {"experiment": "density", "sample": 0}
    rows = [
        row(9e9, phase="ramp", metric="mem_available", unit="B", instances=0, **ramp),
        row(8e9, phase="ramp", metric="mem_available", unit="B", instances=1, **ramp),
        row(0.02, instances=1, **ramp),
        row(
            1,
            phase="reached",
            metric="instances",
            unit="1",
            rule="memory budget",
            rule_text="enough",
            **ramp,
        ),
    ]
    shown = density.table(rows)
    assert shown.rows[0][1:6] == ["1", "memory budget", "20 ms", "20 ms", "–"]
    assert shown.notes[0] == "labrt container: enough; MemAvailable fell by 954 MiB."


def test_at_a_glance_there_is_a_column_for_what_was_measured_of_anybody(row: Row) -> None:
    stops = [row(2.0, experiment="stop", phase="stop", sample=n, **VM) for n in range(7)]
    shown = tables.overview([*starts(row, 0.005), *stops])
    assert shown.title == "At a glance: ready after, gone after"
    assert shown.columns == ["", "ready", "gone", "failed"]
    assert shown.rows == [["labrt container", "5 ms", "–", "0"], ["libvirt VM", "–", "2 s", "0"]]
    assert shown.notes == []


def test_at_a_glance_it_is_said_that_a_number_is_doubtful(row: Row) -> None:
    for rows in ([row(0.1)], [*starts(row, 0.005), row(None), row(None)]):
        (note,) = tables.overview(rows).notes
        assert "too few or unsteady" in note


def test_tails_are_given_where_n_carries_them_and_failures_stand_beside(row: Row) -> None:
    rows = [row(n / 1000, sample=n) for n in range(1, 300)]
    few = [row(n / 1000, sample=n, **VM) for n in range(1, 60)]
    table = _samples.spread([*rows, *few, row(None, **VM)], "T0-T3")
    assert table.columns[5:7] == ["p95", "p99"]
    assert table.rows[0][5:] == ["284 ms", "296 ms", "299 ms", "299", "0"]
    assert table.rows[1][5:] == ["56.1 ms", "–", "59.0 ms", "59", "1"]
    assert "59 samples for p95 and 299 for p99" in table.notes[0]


def test_what_is_not_called_different_is_not_given_as_a_factor(row: Row) -> None:
    notes = startup.table([*starts(row, 0.005), *starts(row, 0.00501, **VM)]).notes
    assert notes[0].startswith("No difference was found between the libvirt VM and")


def test_where_few_samples_could_not_show_a_difference_none_is_denied(row: Row) -> None:
    three = [
        [row(value, sample=n, **also) for n in range(3)] for value, also in ((0.1, {}), (9.0, VM))
    ]
    notes = startup.table([*three[0], *three[1]]).notes
    assert notes[0].startswith("3 samples are too few to tell the libvirt VM from the labrt")
    assert "interval" not in notes[0]


def test_what_stands_for_an_interval_of_too_few_samples_is_in_brackets(row: Row) -> None:
    (line,) = startup.table([row(n + 1.0, sample=n) for n in range(5)]).rows
    assert line[5] == "(1 – 5 s)"
    (line,) = startup.table([row(n + 1.0, sample=n) for n in range(6)]).rows
    assert "(" not in line[5]


def test_a_doubt_that_several_numbers_have_in_common_is_told_once(row: Row) -> None:
    one, two, three = (statistics.summary_of([1.0] * n, 0, "s") for n in (1, 1, 9))
    (note,) = tables.told([("a", one), ("b", two), ("c", three)])
    assert note.startswith("a; b: only 1 sample")
    (note,) = tables.told([("a", one), ("b", two), ("c", one)])
    assert note.startswith("All: only 1 sample")


def test_memory_that_grew_meanwhile_did_not_fall_by_less_than_nothing() -> None:
    assert density._fell(-8192) == "; MemAvailable rose by 8 KiB"


def test_doubts_about_any_experiment_are_told(row: Row) -> None:
    (table,) = views.all_tables([row(1.0, experiment="tape", phase="write", metric="rate")])
    assert table.notes == [
        "labrt container, write rate: only 1 sample: no interval, and nothing to compare."
    ]
