"""Isolation, shown: the scorecard. A cell says it in words; mark and colour say the same again."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from bench import plots, statistics, tables, units
from bench.observations import Observation
from bench.tables import Table
from bench.views.base import Picture, Rows, View

# How much of the host: mark, colour. A plain process is the measure of "all".
NONE, SOME, ALL, FACT = ("○", "#cfe8dd"), ("◐", "#fbe3b3"), ("●", "#f3c1a5"), (" ", "#eeeeee")
FACTS = ("held", "fact")  # metrics that don't count what is reached


@dataclass(frozen=True)
class Cell:
    """One answer of one subject: its words, mark and colour."""

    text: str
    mark: str
    colour: str


def questions(rows: Rows) -> list[Observation]:
    """Return one row for each question, in their order."""
    found = {row.phase: row for row in rows if "question" in row.conditions}
    return list(found.values())


def answer(rows: Rows, subject: str, phase: str) -> Observation | None:
    """Return a subject's answer, or None where it has none."""
    found = statistics.select(rows, subject=subject, phase=phase, status="ok")
    return found[-1] if found else None


def cell(rows: Rows, subject: str, phase: str) -> Cell:
    """Return what stands in the scorecard."""
    mine = answer(rows, subject, phase)
    if mine is None or mine.value is None:
        return Cell(tables.NOTHING, *FACT)
    most = max(row.value or 0 for row in statistics.select(rows, phase=phase))
    return Cell(words(mine), *_shade(mine, most))


def words(row: Observation) -> str:
    """Write an answer: yes, no, a number; and in brackets what is there inside of its own."""
    assert row.value is not None
    if row.metric != "count":
        own = not row.value and row.conditions["inside"] and row.metric == "yes"
        return "yes" if row.value else "no (own)" if own else "no"
    inside = row.conditions["inside"]
    own = f" ({units.digits(inside)} own)" if inside and not row.value else ""
    return units.digits(row.value) + own


def _short(shown: Cell) -> str:
    """Leave a column narrow: the picture says how many are its own."""
    return "own" if "own" in shown.text else shown.text


def _shade(row: Observation, most: float) -> tuple[str, str]:
    if row.metric in FACTS:
        return FACT
    if not row.value:
        return NONE
    return ALL if row.value > most / 2 else SOME


def table(rows: Rows) -> Table:
    """One line per question, one column per subject."""
    names = statistics.subjects(rows)
    shown = Table(
        "Isolation: what of the host is seen and reached; n = 1 of each",
        ["", *names],
    )
    for asked in questions(rows):
        cells = [cell(rows, name, asked.phase) for name in names]
        shown.rows.append(
            [asked.conditions["question"], *(f"{_short(c)} {c.mark}".rstrip() for c in cells)]
        )
    shown.notes = [
        "○ nothing of the host, ◐ at most half of the most that any had, ● more. Own: there is "
        "one, and it isn't the host's.",
        *(note for name in names for note in _told(rows, name)),
    ]
    return shown


def _told(rows: Rows, subject: str) -> list[str]:
    """Say what a subject's answers are made of."""
    told = ("kernel", "root", "capabilities", "file systems", "devices", "system calls")
    found = [answer(rows, subject, phase) for phase in told]
    texts = [
        f"{row.phase}: {row.conditions['text']}" for row in found if row and row.conditions["text"]
    ]
    return [f"{statistics.title(rows, subject)}: {'; '.join(texts)}."] if texts else []


def scorecard(band: Any, rows: Rows) -> None:
    """Draw the matrix of questions and subjects."""
    names, asked = statistics.subjects(rows), questions(rows)
    axes = band.subplots(1, 1)
    axes.set_xlim(-0.5, len(names) - 0.5)
    places = _places(asked)
    axes.set_ylim(max(places.values()) + 0.5, -0.9)
    for row in asked:
        for column, name in enumerate(names):
            _square(axes, column, places[row.phase], cell(rows, name, row.phase))
    axes.set_yticks(
        list(places.values()), [row.conditions["question"] for row in asked], fontsize=10
    )
    axes.set_xticks(range(len(names)), [statistics.title(rows, name) for name in names])
    axes.xaxis.tick_top()
    axes.tick_params(length=0)
    for side in axes.spines.values():
        side.set_visible(False)
    _headings(axes, asked, places)
    axes.set_title(
        "What an instance sees and reaches of the host:  ○ nothing   ◐ some   ● most\n", fontsize=14
    )


def _places(asked: list[Observation]) -> dict[str, float]:
    """Return where each question stands, with room for a heading before each group."""
    places, place, group = {}, -1.0, None
    for row in asked:
        place += 1 if row.conditions["group"] == group else 1.9
        group = row.conditions["group"]
        places[row.phase] = place
    return places


def _headings(axes: Any, asked: list[Observation], places: dict[str, float]) -> None:
    firsts: dict[str, float] = {}
    for row in asked:
        firsts.setdefault(row.conditions["group"], places[row.phase])
    for group, place in firsts.items():
        axes.annotate(
            group,
            (0, place - 0.9),
            xycoords=("axes fraction", "data"),
            xytext=(-8, 0),
            textcoords="offset points",
            ha="right",
            va="center",
            fontsize=10,
            fontweight="bold",
        )


def _square(axes: Any, column: int, place: float, shown: Cell) -> None:
    from matplotlib.patches import Rectangle

    axes.add_patch(
        Rectangle((column - 0.48, place - 0.45), 0.96, 0.9, color=shown.colour, linewidth=0)
    )
    font = {"va": "center_baseline", "fontsize": 10, "color": plots.BLACK}
    axes.text(column - 0.44, place, shown.mark, ha="left", **font)
    axes.text(column, place, shown.text, ha="center", **font)


def _any(rows: Rows) -> bool:
    return bool(questions(rows))


VIEW = View(
    table,
    pictures={
        "isolation": Picture(
            scorecard,
            _any,
            "Each line is a question, each column a kind of instance. A mark says how much of the "
            "host it reaches; what it has of its own stands in brackets.",
        )
    },
)
