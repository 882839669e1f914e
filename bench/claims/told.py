"""The verdicts as a table, as a section of the report, as Markdown and as JSON."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench import tables
from bench.claims import Judged
from bench.tables import Table

NOTEBOOKS = Path(__file__).parent.parent.parent / "notebooks"


@dataclass(frozen=True)
class Lesson:
    """A notebook: its file's name, and its title ("02 · A host name of its own: …")."""

    file: str
    title: str


def lessons(judged: Judged, folder: Path = NOTEBOOKS) -> list[Lesson]:
    """Return the lessons that show a claim, of those there are."""
    files = (each for number in judged.claim.lessons for each in folder.glob(f"{number}_*.ipynb"))
    return [Lesson(file.name, _title(file)) for file in sorted(files)]


def _title(file: Path) -> str:
    """Return a notebook's first heading (nbformat: cells of lines)."""
    cells = json.loads(file.read_text())["cells"]
    lines = "".join("".join(cell["source"]) + "\n" for cell in cells[:1]).splitlines()
    return next((line.removeprefix("# ") for line in lines if line.startswith("# ")), file.stem)


def how_to(judged: Judged) -> str:
    """Say what would show a claim that no row here can judge."""
    if judged.claim.experiments:
        return f"To measure it: ./lab bench {' '.join(judged.claim.experiments)}."
    if found := lessons(judged):
        return f"A lesson shows it: {'; '.join(each.title for each in found)}."
    return "Nothing here shows it yet."


def samples(judged: Judged) -> str:
    """Write how many samples stand behind a verdict: "labrt 7, vm 7"."""
    n = judged.verdict.n
    return ", ".join(f"{subject} {count}" for subject, count in n.items()) or tables.NOTHING


def lines(judged: Judged) -> list[str]:
    """Return a measured claim's sentences: what was found, limits, what it can't tell, lessons."""
    found = judged.verdict
    told = list(found.sentences)
    told += [f"Limit: {limit}" for limit in found.limits]
    if found.cannot_tell:
        told.append(f"It can't tell: {' '.join(found.cannot_tell)}")
    if known := lessons(judged):
        told.append(f"Lesson: {'; '.join(lesson.title for lesson in known)}")
    return told


def section(judged: Sequence[Judged]) -> list[dict[str, Any]]:
    """Return what the report tells: the claims that were measured."""
    return [
        {
            "id": each.claim.id,
            "text": each.claim.text,
            "verdict": each.verdict.verdict,
            "n": samples(each),
            "lines": lines(each),
        }
        for each in judged
        if each.measured
    ]


def short(judged: Sequence[Judged]) -> Table:
    """One line per claim, for a terminal; the reasons are in the files."""
    shown = Table("The claims", ["", "claim", "verdict", "n"])
    for each in judged:
        shown.rows.append(
            [each.claim.id, each.claim.text, each.verdict.verdict, samples(each)]
            if each.measured
            else [each.claim.id, each.claim.text, how_to(each), tables.NOTHING]
        )
    return shown


def markdown(judged: Sequence[Judged], run: str, host: str) -> str:
    """Return claims.md."""
    parts = [f"# The claims, judged by run {run}\n", f"{host}\n"]
    for each in judged:
        parts.append(f"## {each.claim.id} · {each.claim.text}\n")
        parts.append("\n".join(_lines(each)) + "\n")
    return "\n".join(parts)


def _lines(each: Judged) -> list[str]:
    if not each.measured:
        return [f"**{each.verdict.verdict}.** {how_to(each)}"]
    verdict = f"**{each.verdict.verdict}** (n: {samples(each)})"
    return [verdict, "", *(f"- {line}" for line in lines(each))]


def figures(judged: Sequence[Judged], run: str, host: str) -> dict[str, Any]:
    """Return claims.json (JSON types only)."""
    return {"run": run, "host": host, "claims": [_figures(each) for each in judged]}


def _figures(each: Judged) -> dict[str, Any]:
    found = each.verdict
    return {
        "id": each.claim.id,
        "claim": each.claim.text,
        "verdict": found.verdict,
        "sentences": list(found.sentences),
        "limits": list(found.limits),
        "figures": dict(found.figures),
        "n": dict(found.n),
        "cannot_tell": list(found.cannot_tell),
        "experiments": list(each.claim.experiments),
        "lessons": [lesson.file for lesson in lessons(each)],
        "otherwise": "" if each.measured else how_to(each),
    }
