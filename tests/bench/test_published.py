"""bench/published.py, bench/views/_published.py: others' figures stand beside ours with what they
mean, and never without figures of ours."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from bench import published, report, views
from bench.observations import Observation
from bench.published import COMPUTING, DENSITY, DISK, MEMORY, NETWORK, RATES, STARTS, Result
from bench.views import _published

GROUPS = (STARTS, MEMORY, DENSITY, RATES, COMPUTING, NETWORK, DISK)
ALL = [result for results in GROUPS for result in results]


def starts(row: Callable[..., Observation]) -> list[Observation]:
    return [row(0.005 * n, sample=n) for n in range(1, 8)]


@pytest.mark.parametrize("result", ALL, ids=lambda each: f"{each.source} {each.subject}")
def test_each_figure_says_what_was_measured_how_it_differs_and_where_it_is_from(
    result: Result,
) -> None:
    assert result.value > 0
    assert result.definition.what
    assert result.definition.differs
    assert result.url.startswith("https://")
    assert 2014 <= result.year <= 2026


def test_figures_of_one_definition_stand_together() -> None:
    for results in GROUPS:
        order = [published.definitions(results).index(each.definition) for each in results]
        assert order == sorted(order)
        assert len({each.unit for each in results}) == 1


def test_the_table_marks_what_is_quoted_at_second_hand() -> None:
    shown = _published.table(STARTS, "Start-up")
    marked = [row[0] for row in shown.rows if " *:" in row[-1]]
    assert marked == [each.subject for each in STARTS if not each.checked]
    assert shown.notes
    assert all(len(row) == len(shown.columns) for row in shown.rows)
    assert not _published.table((STARTS[0],), "Start-up").notes


def test_pictures_are_drawn_only_beside_figures_of_ours(
    row: Callable[..., Observation], tmp_path: Path
) -> None:
    assert "published" not in views.draw_all([row(None)], "a host", tmp_path)
    assert "published" in views.draw_all(starts(row), "a host", tmp_path)
    memory = [
        row(2e5, experiment="memory", phase="idle", metric="pss", unit="B", subject=name)
        for name in ("labrt", "process")
    ]
    assert "published-memory" in views.draw_all(memory, "a host", tmp_path)


def test_the_picture_says_every_definition_and_difference(row: Callable[..., Observation]) -> None:
    from matplotlib import pyplot

    figure = pyplot.figure()
    views.pictures("startup")["published"].draw(figure, starts(row))
    said = {text.get_text() for axes in figure.axes for text in axes.texts}
    pyplot.close(figure)
    for definition in published.definitions(STARTS):
        assert definition.what[0].upper() + definition.what[1:] in said
        assert f"≠ here: {definition.differs}" in said
    assert "median 20 ms" in said


@pytest.mark.parametrize(
    "name", ["startup", "memory", "density", "scale-out", "cpu", "network", "disk"]
)
def test_each_experiment_that_others_have_published_about_has_the_figures(name: str) -> None:
    (table,) = views.sources(name)
    assert table.rows


def test_the_report_has_the_sources(row: Callable[..., Observation]) -> None:
    section = report._section("startup", starts(row), {})
    (table,) = [each for each in section.tables if "published" in each["title"]]
    assert table["texts"]
    assert len(table["rows"]) == len(STARTS)
